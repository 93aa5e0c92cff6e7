import { expect, it } from 'vitest';
import { loadConfig } from '#config/load.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { tenantConfig } from '../../../../src/cli/worker/tenant-config.ts';

it('gives nobody the build cache of a tenant that had the name before', () => {
  const set = ['worker.build.cacheRepository=registry.example/cache'];
  const config = loadConfig({ environment: {}, root: true, set });
  const cacheOf = (name: string, generation?: number) => {
    const place = { name, generation, number: 1, policy: parseTenantPolicy({}) };
    return tenantConfig(config, place).worker.build.cacheRepository;
  };
  expect(cacheOf('a')).toBe('registry.example/cache/a');
  expect(cacheOf('a', 0)).toBe('registry.example/cache/a');
  expect(cacheOf('a', 7)).toBe('registry.example/cache/a/7');
  expect(cacheOf('a..b', 7)).toBe('registry.example/cache/x612e2e62/7');
});
