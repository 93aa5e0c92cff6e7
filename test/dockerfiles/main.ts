import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Buildkitd, buildKitProgram } from '../e2e/harness/buildkitd.ts';
import { type CommandResult, run } from '../e2e/harness/command.ts';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { seedImages } from '../images/stand-ins.ts';
import { type BuildCase, buildCases } from './build-case.ts';
import { readImage } from './read-image.ts';

// npm run dockerfiles [-- --only PATTERN]: every case built by this Slipway and by a real BuildKit; the images have to
// have equal files, configurations and histories, and what fails has to fail on both. Some three minutes.

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const folder = mkdtempSync(join(tmpdir(), 'slipway-dockerfiles-'));
const socket = join(folder, 'buildkit.sock');
const counts = { equal: 0, expected: 0, different: 0 };
try {
  await using slipway = await startSlipway({
    env: { SLIPWAY_LOG_LEVEL: 'warn', SLIPWAY_WORKER_BUILDKIT_LISTEN: `["unix://${socket}"]` },
  });
  await seedImages(slipway.registry, ['busybox']);
  await using buildkitd = await Buildkitd.start();
  const busybox = `docker-image://${slipway.registry}/library/busybox`;
  for (const one of buildCases().filter(({ name }) => new RegExp(values.only).test(name))) {
    const differences = await compare(one, busybox, [`unix://${socket}`, buildkitd.address]);
    if (differences.length === 0) counts.equal++;
    else if (one.differs !== undefined) counts.expected++;
    else {
      counts.different++;
      process.stdout.write(
        `${one.name}: ${one.idea}\n${differences.map((line) => `    ${line}\n`).join('')}`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const { equal, expected, different } = counts;
process.stdout.write(`${equal} equal, ${expected} different as they say, ${different} different\n`);
process.exitCode = different === 0 ? 0 : 1;

async function compare(one: BuildCase, busybox: string, addresses: readonly string[]): Promise<string[]> {
  const place = mkdtempSync(join(folder, 'case-'));
  writeFiles(one, place);
  const [ours, theirs] = await Promise.all(
    addresses.map(async (address, at) => {
      const archive = join(place, `image-${at}.tar`);
      return { archive, result: await build(one, { place, address, archive, busybox }) };
    }),
  );
  try {
    if (ours!.result.code !== 0 || theirs!.result.code !== 0 || one.fails !== undefined) {
      return compareFailures(one, ours!.result, theirs!.result);
    }
    const [left, right] = await Promise.all([readImage(ours!.archive), readImage(theirs!.archive)]);
    return [
      ...lines('files', left.files, right.files),
      ...lines('configuration', settings(left.config), settings(right.config)),
      ...lines('history', history(left.config, one), history(right.config, one)),
      ...lines('layers', [`${left.layers}`], [`${right.layers}`]),
    ];
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function build(
  { options, secrets, files }: BuildCase,
  at: { place: string; address: string; archive: string; busybox: string },
): Promise<CommandResult> {
  const directories = new Set(['context', 'dockerfile', ...files.map(({ directory }) => directory)]);
  const frontend: Record<string, string> = { 'context:busybox': at.busybox, ...options };
  const args = ['--addr', at.address, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
  for (const directory of directories) args.push('--local', `${directory}=${join(at.place, directory)}`);
  for (const [name, value] of Object.entries(frontend)) {
    args.push('--opt', `${name}=${value.replace(/^docker-image:\/\/busybox$/, at.busybox)}`);
  }
  for (const id of Object.keys(secrets))
    args.push('--secret', `id=${id},src=${join(at.place, 'secret', id)}`);
  args.push('--output', `type=oci,dest=${at.archive}`);
  return run('timeout', ['60', buildKitProgram('buildctl'), ...args], { env: process.env });
}

function writeFiles({ files, secrets }: BuildCase, place: string): void {
  for (const directory of ['context', 'dockerfile', 'secret']) mkdirSync(join(place, directory));
  for (const { directory, path, content, mode, target } of files) {
    const file = join(place, directory, path);
    mkdirSync(dirname(file), { recursive: true });
    if (target === undefined) writeFileSync(file, content, { mode });
    else symlinkSync(target, file);
  }
  for (const [id, value] of Object.entries(secrets)) writeFileSync(join(place, 'secret', id), value);
}

function compareFailures({ fails }: BuildCase, ours: CommandResult, theirs: CommandResult): string[] {
  const told = (result: CommandResult) =>
    result.code !== 0 && fails !== undefined && result.stderr.includes(fails);
  return [
    ...(told(ours) ? [] : [`ours: exit code ${ours.code}: ${lastLine(ours)}`]),
    ...(told(theirs) ? [] : [`BuildKit: exit code ${theirs.code}: ${lastLine(theirs)}`]),
  ];
}

function lastLine({ stderr }: CommandResult): string {
  return stderr.trimEnd().split('\n').at(-1) ?? '';
}

function settings(config: object): string[] {
  const {
    created: _created,
    history: _history,
    rootfs: _rootfs,
    ...rest
  } = config as Record<string, unknown>;
  return JSON.stringify(rest, Object.keys(flat(rest)).sort(), 1).split('\n');
}

/** All names in a value, so that the order of members does not count. */
function flat(value: unknown, into: Record<string, true> = {}): Record<string, true> {
  if (typeof value !== 'object' || value === null) return into;
  for (const [name, member] of Object.entries(value)) {
    into[name] = true;
    flat(member, into);
  }
  return into;
}

/** Times count only where somebody said what they are. */
function history(config: object, { options }: BuildCase): string[] {
  const { history: entries = [] } = config as { history?: Record<string, unknown>[] };
  const timed = options['build-arg:SOURCE_DATE_EPOCH'] !== undefined;
  return entries.map(({ created, ...entry }) => {
    const shown: Record<string, unknown> = timed ? { created, ...entry } : entry;
    return JSON.stringify(shown, Object.keys(shown).sort());
  });
}

function lines(what: string, ours: readonly string[], theirs: readonly string[]): string[] {
  const [left, right] = [new Set(ours), new Set(theirs)];
  return [
    ...ours.filter((line) => !right.has(line)).map((line) => `${what}, ours: ${line}`),
    ...theirs.filter((line) => !left.has(line)).map((line) => `${what}, BuildKit: ${line}`),
  ];
}
