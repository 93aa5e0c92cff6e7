import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dockerd } from '../e2e/harness/dockerd.ts';
import { type Slipway, startSlipway } from '../e2e/harness/slipway.ts';
import { seedImages } from '../images/stand-ins.ts';
import { median } from './registry/measure.ts';

const rounds = 25;
const warmUps = 3;

type Engine = Pick<Slipway, 'dockerOk'>;

/** Slipway's worker against Debian's engine: the same docker CLI, the same image, in alternation. */
export async function run(): Promise<void> {
  await using slipway = await startSlipway({ env: { SLIPWAY_LOG_LEVEL: 'warn' } });
  await using peer = await Dockerd.start({ network: 'own' });
  await seedImages(slipway.registry, ['busybox']);
  await slipway.dockerOk('pull', '--quiet', 'busybox');
  await copyImage('busybox', slipway, peer);

  const version = await peer.dockerOk('version', '--format', '{{.Server.Version}}');
  process.stdout.write(`Medians of ${rounds} rounds in alternation, against Docker Engine ${version}\n`);
  for (const engine of [slipway, peer])
    await engine.dockerOk('run', '--detach', '--name', 'target', 'busybox', 'sleep', '1000000');

  await compare('docker run --rm busybox true', slipway, peer, ['run', '--rm', 'busybox', 'true']);
  await compare('docker run --rm --network none', slipway, peer, [
    'run',
    '--rm',
    '--network',
    'none',
    'busybox',
    'true',
  ]);
  await compare('docker exec', slipway, peer, ['exec', 'target', 'true']);
  await compare('docker version (the CLI itself)', slipway, peer, ['version']);
}

async function compare(name: string, ours: Engine, theirs: Engine, args: string[]): Promise<void> {
  const times: Record<'ours' | 'theirs', number[]> = { ours: [], theirs: [] };
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const [side, engine] of [
      ['ours', ours],
      ['theirs', theirs],
    ] as const) {
      const started = performance.now();
      await engine.dockerOk(...args);
      if (round >= 0) times[side].push(performance.now() - started);
    }
  }
  const [our, their] = [median(times.ours), median(times.theirs)];
  const figures = `${our.toFixed(0).padStart(5)} ms   peer ${their.toFixed(0).padStart(5)} ms   ratio ${(our / their).toFixed(2)}`;
  process.stdout.write(`${name.padEnd(34)} slipway ${figures}\n`);
}

/** By an archive: the peer has a network of its own, from which our registry cannot be reached. */
async function copyImage(name: string, from: Engine, to: Engine): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  try {
    const archive = join(folder, 'image.tar');
    await from.dockerOk('save', '--output', archive, name);
    await to.dockerOk('load', '--input', archive);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
