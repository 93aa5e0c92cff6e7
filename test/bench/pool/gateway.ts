import { join } from 'node:path';
import { run, succeed } from '../../e2e/harness/command.ts';
import { startSlipway } from '../../e2e/harness/slipway.ts';
import { busyboxArchive } from '../../images/busybox-image.ts';
import { median } from '../registry/measure.ts';

const ROUNDS = 15;
const WARM_UPS = 3;
const STREAMS = 5;
const STREAM_BYTES = 64 * 1024 * 1024;

/**
 * What a gateway adds: `docker run --rm` by way of it and at the worker itself, in alternation, and how fast the hijacked
 * stream of an exec is. A pool of two workers on this machine, with SQLite.
 */
export async function measureGateway(): Promise<void> {
  await using pool = await startSlipway({ args: ['--workers', '2'], env: { SLIPWAY_LOG_LEVEL: 'warn' } });
  const worker = `unix://${join(pool.folder, 'run', 'worker-1', 'docker.sock')}`;
  const direct = { ...pool.clientEnv, DOCKER_HOST: worker };
  await pool.dockerOk('load', '--input', await busyboxArchive());
  const constraint = ['--env', 'constraint:worker==worker-1'];
  await pool.dockerOk('run', '--detach', '--name', 'target', ...constraint, 'busybox', 'sleep', '100000');

  const once = async (env: NodeJS.ProcessEnv, args: readonly string[]) => {
    const began = performance.now();
    await succeed('docker', ['run', '--rm', ...args, 'busybox', 'true'], { env });
    return performance.now() - began;
  };
  const [through, at]: [number[], number[]] = [[], []];
  for (let round = -WARM_UPS; round < ROUNDS; round++) {
    const [one, other] = [await once(pool.clientEnv, constraint), await once(direct, [])];
    if (round < 0) continue;
    through.push(one);
    at.push(other);
  }
  const added = median(through) - median(at);
  say(
    'docker run --rm',
    `${median(through).toFixed(1)} ms`,
    `${median(at).toFixed(1)} ms`,
    `+${added.toFixed(1)} ms`,
  );

  const stream = async (env: NodeJS.ProcessEnv) => {
    const command = ['exec', 'target', 'head', '-c', String(STREAM_BYTES), '/dev/zero'];
    const began = performance.now();
    const { code } = await run('sh', ['-c', `docker ${command.join(' ')} > /dev/null`], { env });
    if (code !== 0) throw new Error(`docker exec: exit code ${code}`);
    return STREAM_BYTES / 1e6 / ((performance.now() - began) / 1000);
  };
  const [gateway, own]: [number[], number[]] = [[], []];
  for (let round = -1; round < STREAMS; round++) {
    const [one, other] = [await stream(pool.clientEnv), await stream(direct)];
    if (round < 0) continue;
    gateway.push(one);
    own.push(other);
  }
  const share = median(gateway) / median(own);
  say(
    'docker exec, its output',
    `${median(gateway).toFixed(0)} MB/s`,
    `${median(own).toFixed(0)} MB/s`,
    `${share.toFixed(2)} x`,
  );
}

function say(what: string, through: string, direct: string, compared: string): void {
  process.stdout.write(
    `${what.padEnd(26)} ${through.padStart(10)} through the gateway ${direct.padStart(10)} at the worker  ${compared}\n`,
  );
}
