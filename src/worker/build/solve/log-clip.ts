/** What BuildKit keeps of each stream of a step. */
export const MAX_LOG_BYTES = 2 * 1024 * 1024;
const MAX_TAIL_BYTES = 256 * 1024;

const NOTICE = Buffer.from('\n[output clipped, log limit 2MiB reached]\n');

/** Lets the first 2 MiB of a stream pass; the end of what it held back can be asked for when the step has failed. */
export class LogClip {
  #passed = 0;
  #clipping = false;
  #tail: Uint8Array[] = [];
  #tailBytes = 0;

  /** What to show of `data`; undefined: nothing. */
  pass(data: Uint8Array): Uint8Array | undefined {
    const room = MAX_LOG_BYTES - this.#passed;
    this.#passed += Math.min(room, data.length);
    if (data.length <= room) return data;
    this.#keep(data.subarray(room));
    const notice = this.#clipping ? undefined : NOTICE;
    this.#clipping = true;
    return notice && Buffer.concat([data.subarray(0, room), notice]);
  }

  /** The last of what was held back. */
  get tail(): Uint8Array | undefined {
    return this.#tailBytes === 0 ? undefined : Buffer.concat(this.#tail).subarray(-MAX_TAIL_BYTES);
  }

  #keep(data: Uint8Array): void {
    this.#tail.push(data.slice(-MAX_TAIL_BYTES));
    this.#tailBytes += this.#tail.at(-1)!.length;
    while (this.#tailBytes - this.#tail[0]!.length >= MAX_TAIL_BYTES)
      this.#tailBytes -= this.#tail.shift()!.length;
  }
}
