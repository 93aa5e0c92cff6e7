import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolUnderTest } from './pool-under-test.ts';

/** A job that a gateway has acknowledged. */
export interface Acknowledged {
  readonly id: string;
  readonly number: number;
  /** Its artifact's tag, if it leaves one. */
  readonly tag: string | undefined;
}

const SCRIPTS = [
  (n: number) => `echo begun ${n}; echo done ${n}`,
  (n: number) => `echo begun ${n}; sleep 2; echo done ${n}`,
  // Longer than a lease: what is frozen or cut off meanwhile comes to its end when others have the job.
  (n: number) => `echo begun ${n}; sleep 5; echo done ${n}`,
  // Large enough for its pieces to go to the object store at once.
  (n: number) => `head -c 300000 /dev/zero | tr '\\0' x; echo; sleep 1; echo done ${n}`,
];

/** Asks for jobs at all gateways, again and again until one says that it has them. */
export class Load {
  readonly acknowledged: Acknowledged[] = [];
  refused = 0;
  readonly #pool: PoolUnderTest;
  readonly #random: () => number;
  #next = 0;

  constructor(pool: PoolUnderTest, random: () => number) {
    this.#pool = pool;
    this.#random = random;
  }

  /** `pause` milliseconds between two jobs, until the signal aborts. */
  async run(pause: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#submit(this.#next++);
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
  }

  async #submit(number: number): Promise<void> {
    const { registry, image } = this.#pool;
    const tag = number % 3 === 2 ? `n${number}` : undefined;
    const script = SCRIPTS[number % SCRIPTS.length]!(number);
    const kept = `mkdir -p /out; echo ${number} > /out/number`;
    const wanted = {
      kind: 'run',
      name: `job ${number}`,
      attempts: 10,
      // Whoever does not hear the answer asks again, and means the same.
      dedupKey: `chaos ${number}`,
      run: {
        image,
        command: ['sh', '-c', tag === undefined ? script : `${kept}; ${script}`],
        network: 'none',
        artifacts: tag === undefined ? [] : [{ path: '/out', name: `${registry.registry}/chaos/out:${tag}` }],
      },
    };
    for (;;) {
      try {
        const { id } = await askAny<{ id: string }>(this.#pool, this.#random, 'POST', '/jobs', wanted);
        this.acknowledged.push({ id, number, tag });
        return;
      } catch {
        this.refused++;
        await sleep(200);
      }
    }
  }
}

/** Asks one of the gateways. */
export async function askAny<T>(
  { gateways }: PoolUnderTest,
  random: () => number,
  method: string,
  path: string,
  body?: object,
): Promise<T> {
  const { process: gateway } = gateways[Math.floor(random() * gateways.length)]!;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const target = { socketPath: gateway.socket, path: `/api/v1${path}`, method, agent: false, timeout: 5_000 };
  const asking = request(target, async (answer) => {
    try {
      const said = await text(answer);
      if (answer.statusCode! >= 300) throw new Error(`${answer.statusCode}: ${said}`);
      resolve((path.includes('/logs') ? said : JSON.parse(said)) as T);
    } catch (error) {
      reject(error);
    }
  });
  asking.once('timeout', () => asking.destroy(new Error('no answer')));
  asking.once('error', reject);
  asking.end(body && JSON.stringify(body));
  return await promise;
}
