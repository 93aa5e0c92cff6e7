import { parseArgs } from 'node:util';
import { Buildkitd, buildKitProgram } from '../e2e/harness/buildkitd.ts';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { seedImages } from '../images/stand-ins.ts';
import { changesOf, readGolden, writeGolden } from './golden.ts';
import { type LlbCase, llbCases } from './llb-case.ts';
import { type Solved, solveCase } from './solve-case.ts';
import { openSurroundings } from './surroundings.ts';

// npm run llb [-- --only WORDS] [--buildkitd PROGRAM] [--write]: every graph of the corpus solved by this Slipway and by
// a real BuildKit; the files have to be equal, and what fails has to fail on both. `--write` keeps what BuildKit makes
// for the test without it. Some two minutes.

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    buildkitd: { type: 'string' },
    write: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const counts = { equal: 0, expected: 0, different: 0 };
await using slipway = await startSlipway({ buildkit: true });
await seedImages(slipway.registry, ['busybox']);
await using buildkitd = await Buildkitd.start(values.buildkitd);
await using surroundings = await openSurroundings(slipway.registry);
const buildctl = buildKitProgram('buildctl');
const solve = (one: LlbCase, address: string) => solveCase(one, { buildctl, address, surroundings });

const base = await solve({ name: 'base', graph: ({ busybox }) => busybox }, buildkitd.address);
const baseFiles = 'files' in base ? base.files : [];
const golden = new Map<string, readonly string[]>();
for (const one of llbCases().filter(({ name }) => name.includes(values.only))) {
  const [ours, theirs] = await Promise.all([slipway.buildkit, buildkitd.address].map((at) => solve(one, at)));
  if ('files' in theirs!) golden.set(one.name, changesOf(theirs.files, baseFiles));
  const differences = compare(one, ours!, theirs!);
  if (differences.length === 0) counts.equal++;
  else if (one.differs !== undefined) counts.expected++;
  else counts.different++;
  if (values.verbose || (differences.length > 0 && one.differs === undefined)) {
    process.stdout.write(`${one.name}\n${differences.map((line) => `    ${line}\n`).join('')}`);
  }
}
if (values.write) {
  const known = new Map([...readGolden(), ...golden]);
  writeGolden(new Map(llbCases().flatMap(({ name }) => (known.has(name) ? [[name, known.get(name)!]] : []))));
}
const { equal, expected, different } = counts;
process.stdout.write(`${equal} equal, ${expected} different as they say, ${different} different\n`);
process.exitCode = different === 0 ? 0 : 1;

function compare({ fails }: LlbCase, ours: Solved, theirs: Solved): string[] {
  if (fails === undefined && 'files' in ours && 'files' in theirs) {
    const [left, right] = [new Set(ours.files), new Set(theirs.files)];
    return [
      ...ours.files.filter((line) => !right.has(line)).map((line) => `ours: ${line}`),
      ...theirs.files.filter((line) => !left.has(line)).map((line) => `BuildKit: ${line}`),
    ];
  }
  const told = (who: string, solved: Solved) => {
    const text = 'error' in solved ? solved.error : 'does not fail';
    const asExpected = 'error' in solved && fails !== undefined && text.includes(fails);
    return values.verbose || !asExpected ? [`${who}: ${text}`] : [];
  };
  return [...told('ours', ours), ...told('BuildKit', theirs)];
}
