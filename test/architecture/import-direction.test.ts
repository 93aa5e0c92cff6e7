import { createRequire } from 'node:module';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { describe, expect, it } from 'vitest';

const config = createRequire(import.meta.url)('../../.dependency-cruiser.cjs');

async function violations(folder: string) {
  const { output } = await cruise(
    [folder],
    { ruleSet: config, ...config.options, validate: true },
    config.options.enhancedResolveOptions,
    { tsConfig: extractTSConfig('tsconfig.json') },
  );
  return output as ICruiseResult;
}

describe('imports point one way', () => {
  it('in src', async () => {
    const { summary, modules } = await violations('src');
    expect(summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`)).toEqual([]);

    // A cruiser that cannot read TypeScript reads nothing, and then finds nothing wrong.
    const own = modules.filter(({ source }) => source.startsWith('src/'));
    expect(own.length).toBeGreaterThan(100);
    expect(own.flatMap(({ dependencies }) => dependencies).length).toBeGreaterThan(own.length);
  });

  it('and a file that does not is found out', async () => {
    const { summary } = await violations('test/architecture/fixtures/src');
    expect([...new Set(summary.violations.map(({ rule }) => rule.name))].sort()).toEqual([
      'domain-without-http',
      'ffi-where-it-belongs',
      'koa-in-http',
      'kysely-in-repositories',
      'no-cycle',
      'oci-imports-what-is-below',
      'processes-where-they-belong',
      'registry-imports-what-is-below',
    ]);
  });
});
