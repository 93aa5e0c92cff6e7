import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';

/** How to reach a worker's API. */
export interface Upstream {
  readonly name: string;
  /** On every request, in the place of what the client said there: for whom it is. */
  headers(): Readonly<Record<string, string>>;
  /** A new connection, which may still be on its way. */
  connect(): Duplex;
}

/** Connections to workers that are kept for the next request. */
export class WorkerAgents implements Disposable {
  readonly #agents = new Map<Upstream, Agent>();

  of(to: Upstream): Agent {
    let agent = this.#agents.get(to);
    if (!agent) {
      agent = new Agent({ keepAlive: true });
      agent.createConnection = () => to.connect();
      this.#agents.set(to, agent);
    }
    return agent;
  }

  /** For a worker that moved. */
  forget(to: Upstream): void {
    this.#agents.get(to)?.destroy();
    this.#agents.delete(to);
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }
}
