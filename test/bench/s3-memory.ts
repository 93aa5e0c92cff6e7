import { parseArgs } from 'node:util';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { pushAndWatch } from '../s3/push-memory.ts';
import { s3Environment } from '../s3/s3-environment.ts';
import { startS3Server } from '../s3/s3-server.ts';

const MIB = 2 ** 20;

/** The registry's memory while large blobs are pushed to it over S3: `--uploads 8 --mib 2048` says how many and how large. */
export async function run(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: { uploads: { type: 'string', default: '8' }, mib: { type: 'string', default: '2048' } },
  });
  const load = { uploads: Number(values.uploads), size: Number(values.mib) * MIB };
  await using server = await startS3Server();
  await using slipway = await startSlipway({
    command: 'registry',
    env: { SLIPWAY_LOG_LEVEL: 'warn', ...s3Environment(server.access, { prefix: 'memory' }) },
  });
  const memory = await pushAndWatch({ address: slipway.registry, pid: slipway.rolePid('registry') }, load);
  const mib = (bytes: number) => String(Math.round(bytes / MIB));
  process.stdout.write(`${load.uploads} × ${mib(load.size)} MiB at ${mib(memory.rate)} MiB/s\n`);
  process.stdout.write(
    `RSS idle ${mib(memory.idle)} MiB, by tenths of the bytes ${memory.tenths.map(mib).join(' ')} MiB\n`,
  );
}
