import { pino } from 'pino';
import { size } from '#config/quantity.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import { createHousekeeping, type Housekeeping } from '#registry/housekeeping.ts';
import { Refusal } from '../refusal.ts';
import { openRegistryStorage } from '../registry/storage.ts';
import type { Invocation } from './command.ts';

/** Does something with what keeps the registry's data in order, whether or not the registry runs. */
export async function withHousekeeping<T>(
  { config }: Pick<Invocation, 'config'>,
  task: (housekeeping: Housekeeping) => Promise<T>,
): Promise<T> {
  await using storage = await openRegistryStorage(config);
  const logger = pino({ level: 'silent' });
  return await task(
    createHousekeeping({ db: storage.db, content: storage.content, logger, metrics: NO_METRICS }),
  );
}

/** `7d`, `12h` or `30m` in milliseconds. Throws `Refusal`. */
export function parseSpan(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, s: 1000 };
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (unit !== undefined) return Number(amount) * units[unit]!;
  throw new Refusal(`--${option} ${text}: expected a time such as 12h or 30d`, { exitCode: 2 });
}

/** A whole number from 0. Throws `Refusal`. */
export function parseCount(what: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new Refusal(`${what} ${text}: expected a whole number`, { exitCode: 2 });
}

/** `10GiB` in bytes. Throws `Refusal`. */
export function parseBytes(text: string): number {
  const parsed = size.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new Refusal(`${text}: expected a size such as 10GiB`, { exitCode: 2 });
}

/** `1.5GiB`, for people. */
export function shownBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const amount = bytes / 2 ** (10 * power);
  return `${power === 0 ? amount : amount.toFixed(1)}${units[power]}`;
}
