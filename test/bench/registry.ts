import { freePorts } from '../e2e/harness/free-port.ts';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { blobLoad } from './registry/blob-load.ts';
import { compare, type Measure } from './registry/compare.ts';
import { startDebianRegistry } from './registry/debian-registry.ts';
import { manifestLoad } from './registry/manifest-load.ts';

const MB = 1_000_000;
const GIB = 2 ** 30;

/** Slipway's registry against Debian's docker-registry, each measure in alternation on the same machine. */
export async function run(): Promise<void> {
  await using slipway = await startSlipway({ command: 'registry', env: { SLIPWAY_LOG_LEVEL: 'warn' } });
  await using peer = await startDebianRegistry((await freePorts(1))[0]!);
  const contestants = { ours: slipway.registry, peer: peer.address };
  const manifests = await manifestLoad(Object.values(contestants));
  const small = await blobLoad(Object.values(contestants), MB);
  const large = await blobLoad(Object.values(contestants), GIB);

  const measures: Measure[] = [
    { name: 'manifest GET by tag, 16 connections', unit: 'requests/s', run: manifests.getByTag },
    { name: 'manifest GET by digest, 16 connections', unit: 'requests/s', run: manifests.getByDigest },
    { name: 'manifest PUT, 1 connection', unit: 'requests/s', run: manifests.putWith(1) },
    { name: 'manifest PUT, 16 connections', unit: 'requests/s', run: manifests.putWith(16) },
    { name: '1 MB blob GET, 16 connections', unit: 'requests/s', run: small.getMany },
    { name: '1 MB blob PUT, 4 connections', unit: 'requests/s', run: small.putMany },
    { name: '1 GiB blob GET', unit: 'MB/s', run: large.getOne },
    { name: '1 GiB blob PUT', unit: 'MB/s', run: large.putOne },
  ];
  for (const measure of measures) process.stdout.write(`${await compare(measure, contestants)}\n`);
}
