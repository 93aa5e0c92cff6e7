import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type PacketSchema,
  Packet_PacketType as PacketType,
} from '../proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';

type PacketInit = MessageInitShape<typeof PacketSchema>;

/** What waits is moved to the front when this many were sent. */
const COMPACT_AFTER = 4_096;

/**
 * Tells a sender which files are wanted, one packet after the other as it takes them. A sender that does not read keeps
 * a number for each file waiting here, and nothing more.
 */
export class PacketPump {
  readonly #call: { send(packet: PacketInit): Promise<unknown>; end(): void };
  #waiting: number[] = [];
  #next = 0;
  #last: { readonly packet: PacketInit; readonly end: boolean } | undefined;
  #running = false;

  constructor(call: { send(packet: PacketInit): Promise<unknown>; end(): void }) {
    this.#call = call;
  }

  request(id: number): void {
    this.#waiting.push(id);
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
        const ID = this.#take();
        const last = this.#last;
        if (ID !== undefined) await this.#call.send({ type: PacketType.PACKET_REQ, ID });
        else if (last) {
          this.#last = undefined;
          await this.#call.send(last.packet);
          if (last.end) this.#call.end();
        } else break;
      }
      this.#running = false;
    } catch {
      // The call is over, and whoever reads from it hears why. It stays as if it were running: nothing more is sent.
      this.#waiting = [];
    }
  }

  #take(): number | undefined {
    if (this.#next >= COMPACT_AFTER) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    return this.#waiting[this.#next++] ?? this.#emptied();
  }

  #emptied(): undefined {
    this.#waiting = [];
    this.#next = 0;
    return undefined;
  }
}
