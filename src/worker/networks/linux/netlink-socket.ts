import { closeSync } from 'node:fs';
import { promisify } from 'node:util';
import { type SlipwayError, unavailable } from '#errors/errors.ts';
import {
  AF_NETLINK,
  checked,
  errnoName,
  MSG_DONTWAIT,
  recv,
  SOCK_CLOEXEC,
  SOCK_RAW,
  send,
  socket,
} from './libc.ts';
import { insideNamespace } from './namespace.ts';
import { decodeMessages, encodeMessage, type NetlinkMessage } from './netlink-message.ts';

/** Whom to talk to: about links, addresses and routes, or about the packet filter. */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

const REQUEST = 0x1;
const ACK = 0x4;
const ERROR = 2;
const DONE = 3;

const sendAsync = promisify(send.async) as unknown as (
  fd: number,
  bytes: Uint8Array,
  length: number,
  flags: number,
) => Promise<number>;

/**
 * A conversation with a subsystem of the kernel about one network namespace: the one it was opened in.
 * Requests are handled while they are sent, and may wait there for the kernel's lock, so that is done on
 * another thread; one request at a time a socket.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  #sequence = 0;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** About the host, or about the namespace at a path. */
  static open(namespace?: string, subsystem = NETLINK_ROUTE): NetlinkSocket {
    const open = () => checked('socket', socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, subsystem));
    return new NetlinkSocket(namespace === undefined ? open() : insideNamespace(namespace, open));
  }

  /** Carries requests out in order; throws for the first that fails, with its errno's name as `code`. */
  async request(...messages: readonly NetlinkMessage[]): Promise<void> {
    const first = this.#sequence + 1;
    const bytes = messages.map((message) =>
      encodeMessage({ ...message, flags: message.flags | REQUEST | ACK }, ++this.#sequence),
    );
    await this.#send(Buffer.concat(bytes));
    const failures: SlipwayError[] = [];
    for (let answered = 0; answered < messages.length; ) {
      for (const answer of this.#receive()) {
        if (answer.type !== ERROR) continue;
        answered++;
        const errno = -answer.body.readInt32LE(0);
        if (errno !== 0) failures.push(refused(errno, messages[answer.sequence - first]?.type));
      }
    }
    if (failures[0]) throw failures[0];
  }

  /** All objects that a `GET` request names. */
  async dump(message: NetlinkMessage): Promise<NetlinkMessage[]> {
    const DUMP = 0x300;
    await this.#send(encodeMessage({ ...message, flags: REQUEST | DUMP }, ++this.#sequence));
    return this.#collect();
  }

  /** The one object that a `GET` request names; undefined when there is none. */
  async get(message: NetlinkMessage): Promise<NetlinkMessage | undefined> {
    await this.#send(encodeMessage({ ...message, flags: REQUEST }, ++this.#sequence));
    const [answer] = this.#receive();
    if (answer && answer.type !== ERROR) return answer;
    const errno = answer ? -answer.body.readInt32LE(0) : 0;
    if (['ENODEV', 'ENOENT', 'ESRCH'].includes(errnoName(errno))) return undefined;
    throw refused(errno, message.type);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  async #send(bytes: Buffer): Promise<void> {
    const sent = await sendAsync(this.#fd, bytes, bytes.length, 0);
    if (sent !== bytes.length) throw unavailable('the kernel takes no netlink request');
  }

  #collect(): NetlinkMessage[] {
    const found: NetlinkMessage[] = [];
    for (;;) {
      for (const message of this.#receive()) {
        if (message.type === DONE) return found;
        if (message.type === ERROR) throw refused(-message.body.readInt32LE(0), message.type);
        found.push(message);
      }
    }
  }

  /** What was sent is answered already, so this never waits. */
  #receive(): ReturnType<typeof decodeMessages> {
    const buffer = Buffer.allocUnsafe(65_536);
    const length = checked('recv', recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT));
    return decodeMessages(buffer.subarray(0, length));
  }
}

function refused(errno: number, type: number | undefined): SlipwayError {
  const code = errnoName(errno);
  return unavailable(`the kernel refused a network change (${code}, netlink ${type})`, { code });
}
