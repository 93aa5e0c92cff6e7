import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { systemCode, unavailable } from '#errors/errors.ts';
import { TENANT_NAME, type TenantIdentity } from './tenant-header.ts';
import { tenantPolicy } from './tenant-policy.ts';

const shape = z.record(
  z.string().regex(TENANT_NAME),
  z.strictObject({
    number: z.int().positive(),
    generation: z.int().nonnegative().optional(),
    policy: tenantPolicy,
  }),
);

/** A tenant as a worker has it. */
export interface TenantPlace extends TenantIdentity {
  /** Never another tenant's on this worker: names of bridges and subnets are made of it. */
  readonly number: number;
}

/** Which tenants a worker has something of, with their policies as last heard of: in a file, and the same after a restart. */
export class TenantPlaces {
  readonly #file: string;
  readonly #places = new Map<string, TenantPlace>();
  readonly #limit: number;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(file: string, limit: number) {
    this.#file = file;
    this.#limit = limit;
  }

  /** `limit`: how many there is room for. */
  static async open(file: string, limit: number): Promise<TenantPlaces> {
    const places = new TenantPlaces(file, limit);
    const text = await readFile(file, 'utf8').catch((error) => {
      if (systemCode(error) === 'ENOENT') return '{}';
      throw error;
    });
    for (const [name, place] of Object.entries(shape.parse(JSON.parse(text)))) {
      places.#places.set(name, { name, ...place });
    }
    return places;
  }

  list(): TenantPlace[] {
    return [...this.#places.values()];
  }

  find(name: string): TenantPlace | undefined {
    return this.#places.get(name);
  }

  /** Its place, which is on disk; there is none of another generation. Throws `unavailable` when there is no more room. */
  async of(tenant: TenantIdentity): Promise<TenantPlace> {
    const known = this.#places.get(tenant.name);
    if (known && JSON.stringify(known.policy) === JSON.stringify(tenant.policy)) return known;
    const number = known?.number ?? this.#next();
    const place = { ...tenant, number };
    this.#places.set(tenant.name, place);
    await this.#write();
    return place;
  }

  async remove(name: string): Promise<void> {
    if (this.#places.delete(name)) await this.#write();
  }

  #next(): number {
    const taken = new Set(this.list().map(({ number }) => number));
    for (let number = 1; number <= this.#limit; number++) if (!taken.has(number)) return number;
    throw unavailable(
      `this worker has no subnets left for another tenant: worker.tenants.subnet is too small`,
    );
  }

  /** One after another; who waits for its own has waited for all before. */
  #write(): Promise<void> {
    const run = this.#writing.then(async () => {
      const entries = this.list().map(({ name, ...place }) => [name, place]);
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      const handle = await open(`${this.#file}.new`, 'w', 0o600);
      await handle.writeFile(JSON.stringify(Object.fromEntries(entries)));
      await handle.sync();
      await handle.close();
      await rename(`${this.#file}.new`, this.#file);
    });
    this.#writing = run.catch(() => undefined);
    return run;
  }
}
