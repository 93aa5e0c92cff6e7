import type { Config } from '#config/schema.ts';

/** Placeholder until the host probe is wired. */
export async function doctor(_config: Config): Promise<number> {
  return 0;
}
