import { startSlipway } from '../../e2e/harness/slipway.ts';
import { s3Environment } from '../../s3/s3-environment.ts';
import type { Contestant, Storage } from './contestant.ts';

/** Slipway's registry as it comes, but as quiet as its peers are set to be. */
export async function startContestant(storage: Storage): Promise<Contestant> {
  const place = storage.kind === 'filesystem' ? {} : s3Environment(storage, { prefix: 'slipway' });
  const slipway = await startSlipway({
    command: 'registry',
    env: { SLIPWAY_LOG_LEVEL: 'warn', ...place },
  });
  return {
    name: 'Slipway',
    address: slipway.registry,
    pid: slipway.pid,
    [Symbol.asyncDispose]: () => slipway[Symbol.asyncDispose](),
  };
}
