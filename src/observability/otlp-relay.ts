import { messageOf } from '#errors/errors.ts';

/** Passes on what others have traced. Never rejects: traces are dropped rather than waited for. */
export interface TraceRelay {
  /** `message`: an `ExportTraceServiceRequest` of OTLP, encoded. */
  pass(message: Uint8Array): Promise<void>;
}

/** A collector that is slow, or away, may hold so much of ours. */
const MAX_HELD_BYTES = 32 * 1024 * 1024;
const PATIENCE_MS = 10_000;

/** To a collector that speaks OTLP over HTTP, whose requests are gRPC's messages as they are. */
export class OtlpRelay implements TraceRelay {
  readonly #endpoint: string;
  readonly #onTrouble: (message: string) => void;
  #held = 0;

  constructor({ endpoint, onTrouble }: { endpoint: string; onTrouble: (message: string) => void }) {
    this.#endpoint = endpoint;
    this.#onTrouble = onTrouble;
  }

  async pass(message: Uint8Array): Promise<void> {
    if (this.#held + message.length > MAX_HELD_BYTES) {
      this.#onTrouble('the collector is too slow: traces of clients are dropped');
      return;
    }
    this.#held += message.length;
    try {
      const response = await fetch(this.#endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/x-protobuf' },
        body: Buffer.from(message),
        redirect: 'error',
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      await response.body?.cancel();
      if (!response.ok) this.#onTrouble(`the collector answers ${response.status}`);
    } catch (error) {
      this.#onTrouble(messageOf(error));
    } finally {
      this.#held -= message.length;
    }
  }
}
