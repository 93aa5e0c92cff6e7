import { expect, it } from 'vitest';
import { ConfinedRunner } from '#pool/agent/confined-runner.ts';
import { type Attempt, JobFailure } from '#pool/agent/job-runner.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';

const policy = parseTenantPolicy({ registries: ['registry.example'] });

function attemptAt(image: string, confinedTo?: Attempt['job']['confinedTo']): Attempt {
  const spec = { image, artifacts: [] };
  return {
    job: { id: 'j', attempt: 1, tenant: 'a', kind: 'tenant-run', spec, timeout: 1000, confinedTo },
    log: async () => undefined,
    signal: new AbortController().signal,
    openContext: () => Promise.reject(new Error('there is none')),
  };
}

function confined() {
  const begun: string[] = [];
  const runner = new ConfinedRunner('run', async ({ name }) => {
    begun.push(name);
    return { run: async () => ({ result: {}, publications: [] }) };
  });
  return { begun, runner };
}

it('does a job in the engine of its tenant', async () => {
  const { begun, runner } = confined();
  await runner.run(attemptAt('registry.example/x', { name: 'a', policy }));
  expect(begun).toEqual(['a']);
});

it.each([
  ['a registry that its policy does not allow', attemptAt('elsewhere.example/x', { name: 'a', policy })],
  ['nobody', attemptAt('registry.example/x')],
])('does none of %s, whatever a gateway has let pass', async (_, attempt) => {
  const { begun, runner } = confined();
  await expect(runner.run(attempt)).rejects.toBeInstanceOf(JobFailure);
  expect(begun).toEqual([]);
});
