import { SharedFlight } from '#async/shared-flight.ts';
import { isKind } from '#errors/errors.ts';
import type { StoredLayer } from '#worker/build/cache/record-manifest.ts';
import type { LocalLayers } from '#worker/build/export/layer-export.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import type { DirectoryRef, LayersRef, Ref } from '#worker/build/solve/ref.ts';

export interface BroughtInputsPorts {
  /** The cache that workers share. */
  readonly shared: { bring(ref: LayersRef, signal: AbortSignal): Promise<StoredLayer[]> };
  readonly local: LocalLayers;
}

/** Directories by what identifies their contents. */
interface Directories {
  readonly brought: Map<string, StoredLayer[]>;
  readonly flights: SharedFlight<StoredLayer[], never>;
}

/**
 * What steps stand on, brought to the cache that workers share. A directory, which a client's whole context may be, is copied
 * and sent once for all steps of its build, not once for each.
 */
export class BroughtInputs {
  readonly #ports: BroughtInputsPorts;
  readonly #sessions = new WeakMap<BuildSession, Directories>();

  constructor(ports: BroughtInputsPorts) {
    this.#ports = ports;
  }

  /** Where each of its layers is, bottom first. Throws what keeps it from getting there. */
  async bring(input: Ref, session: BuildSession, signal: AbortSignal): Promise<StoredLayer[]> {
    if (input.kind === 'layers') return await this.#layers(input, signal);
    const { brought, flights } = this.#directories(session.original ?? session);
    const known = brought.get(input.id);
    if (known) return known;
    return await flights.run(
      input.id,
      async (flight) => {
        const layers = await this.#directory(input, flight.signal);
        brought.set(input.id, layers);
        return layers;
      },
      { signal },
    );
  }

  #directories(session: BuildSession): Directories {
    const known = this.#sessions.get(session) ?? { brought: new Map(), flights: new SharedFlight() };
    this.#sessions.set(session, known);
    return known;
  }

  async #directory(ref: DirectoryRef, signal: AbortSignal): Promise<StoredLayer[]> {
    return await this.#layers(await this.#ports.local.import(ref, { signal }), signal);
  }

  async #layers(ref: LayersRef, signal: AbortSignal): Promise<StoredLayer[]> {
    const { shared, local } = this.#ports;
    try {
      return await shared.bring(ref, signal);
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
      // Of a registry that is another one, and not here yet.
      await local.require(ref, { signal });
      return await shared.bring(ref, signal);
    }
  }
}
