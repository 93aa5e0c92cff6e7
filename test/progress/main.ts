import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Buildkitd } from '../e2e/harness/buildkitd.ts';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { seedImages } from '../images/stand-ins.ts';
import { differences, goldenFile } from './golden.ts';
import { projects } from './projects.ts';
import { World } from './world.ts';

// npm run progress [-- --only PATTERN --record --keep FOLDER]: what this Slipway and a real BuildKit tell buildx while
// they build the same. With --record what BuildKit told becomes what npm test compares ours with.

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    record: { type: 'boolean', default: false },
    keep: { type: 'string' },
  },
});
const counts = { equal: 0, stated: 0, different: 0 };
await using slipway = await startSlipway({ buildkit: true, env: { SLIPWAY_LOG_LEVEL: 'warn' } });
await seedImages(slipway.registry, ['busybox']);
await using buildkitd = await Buildkitd.start(undefined, { mirror: slipway.registry });
await using world = await World.open(slipway.registry);
await world.connect('ours', slipway.buildkit);
await world.connect('peer', buildkitd.address);
const wanted = new RegExp(values.only);
// The first one, so that all the others find the base image there, as they always do.
for (const project of projects.filter(({ name }, at) => at === 0 || wanted.test(name))) {
  const theirs = await Array.fromAsync(world.traces('peer', project));
  const ours = await Array.fromAsync(world.traces('ours', project));
  for (const [at, { name, trace }] of theirs.entries()) {
    if (values.record && !project.racy) writeFileSync(goldenFile(name), trace);
    if (values.keep) keep(values.keep, { [`${name}.theirs`]: trace, [`${name}.ours`]: ours[at]!.trace });
    const { unexplained: lines, stated } = differences(name, ours[at]!.trace, trace);
    counts[lines.length > 0 ? 'different' : stated > 0 ? 'stated' : 'equal']++;
    if (lines.length > 0) process.stdout.write(`${name}\n${lines.map((line) => `    ${line}\n`).join('')}`);
  }
}
process.stdout.write(
  `${counts.equal} equal, ${counts.stated} different as stated, ${counts.different} different\n`,
);
process.exitCode = counts.different === 0 ? 0 : 1;

function keep(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}
