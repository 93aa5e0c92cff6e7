import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type PacketSchema,
  Packet_PacketType as PacketType,
} from '../proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';

type PacketInit = MessageInitShape<typeof PacketSchema>;

/** So many requests are sent as one piece: ten bytes each. */
const REQUESTS_AT_ONCE = 512;

interface Call {
  sendAll(packets: readonly PacketInit[]): Promise<unknown>;
  end(): void;
}

/**
 * Tells a sender which files are wanted, as it takes that: those together that are known to be. A sender that does not
 * read keeps a number for each file waiting here, and nothing more.
 */
export class PacketPump {
  readonly #call: Call;
  #waiting: number[] = [];
  #next = 0;
  #last: { readonly packet: PacketInit; readonly end: boolean } | undefined;
  #running = false;

  constructor(call: Call) {
    this.#call = call;
  }

  request(ids: readonly number[]): void {
    for (const id of ids) this.#waiting.push(id);
    void this.#run();
  }

  /** Nothing follows but what was asked for. */
  finish(): void {
    this.#last = { packet: { type: PacketType.PACKET_FIN }, end: true };
    void this.#run();
  }

  /** Says why it is over, in place of all that still waits. */
  fail(message: string): void {
    this.#waiting = [];
    this.#next = 0;
    this.#last = { packet: { type: PacketType.PACKET_ERR, data: Buffer.from(message) }, end: false };
    void this.#run();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      for (;;) {
        const requested = this.#take();
        const last = this.#last;
        if (requested.length > 0)
          await this.#call.sendAll(requested.map((ID) => ({ type: PacketType.PACKET_REQ, ID })));
        else if (last) {
          this.#last = undefined;
          await this.#call.sendAll([last.packet]);
          if (last.end) this.#call.end();
        } else break;
      }
      this.#running = false;
    } catch {
      // The call is over, and whoever reads from it hears why. It stays as if it were running: nothing more is sent.
      this.#waiting = [];
    }
  }

  #take(): readonly number[] {
    const taken = this.#waiting.slice(this.#next, this.#next + REQUESTS_AT_ONCE);
    this.#next += taken.length;
    if (this.#next * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    return taken;
  }
}
