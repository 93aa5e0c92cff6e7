import { z } from 'zod';

const sizeUnits = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
const timeUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A number of bytes, written as `4MiB` or as a plain number. */
export const size = quantity(sizeUnits, 'a size such as 4MiB');

/** A number of milliseconds, written as `30s`, `24h` or as a plain number of milliseconds. */
export const duration = quantity(timeUnits, 'a duration such as 30s or 24h');

function quantity(units: Readonly<Record<string, number>>, expected: string) {
  const pattern = new RegExp(`^(\\d+(?:\\.\\d+)?)\\s*(${Object.keys(units).join('|')})?$`);
  return z.union([z.number(), z.string()], { error: `expected ${expected}` }).transform((value, context) => {
    const [, amount, unit] = pattern.exec(String(value)) ?? [];
    const parsed = Math.round(Number(amount) * (units[unit ?? ''] ?? 1));
    if (Number.isSafeInteger(parsed)) return parsed;
    context.addIssue({ code: 'custom', message: `expected ${expected}` });
    return z.NEVER;
  });
}
