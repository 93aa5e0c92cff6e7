import type { Context } from 'koa';

/** What all of an answer's warnings may take (OCI distribution-spec, "Warnings"). */
const MAX_BYTES = 4096;

/** Adds `Warning` headers, as many as fit. */
export function setWarnings(ctx: Context, warnings: readonly string[]): void {
  const values: string[] = [];
  let left = MAX_BYTES;
  for (const text of warnings) {
    const value = `299 - "${text.replaceAll(/["\\]/g, '\\$&')}"`;
    left -= value.length;
    if (left < 0) break;
    values.push(value);
  }
  if (values.length > 0) ctx.set('Warning', values);
}
