import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Buildkitd, buildKitProgram } from '../e2e/harness/buildkitd.ts';
import { Dockerd } from '../e2e/harness/dockerd.ts';
import { type Slipway, startSlipway } from '../e2e/harness/slipway.ts';
import { seedImages } from '../images/stand-ins.ts';
import { type Builder, buildctl, dockerBuild } from './build/builder.ts';
import { MEMORY_GOAL, type MemoryRow, peakMemory } from './build/memory.ts';
import { Nobody } from './build/nobody.ts';
import { benchPackages } from './build/packages.ts';
import { currentEngine, releasedBuildkitd } from './build/peer-programs.ts';
import { SCENARIOS, type Scenario } from './build/scenarios.ts';
import { median } from './registry/measure.ts';

/** Of the file with the registry's figures, at its end. */
const SECTION = '## Builds';

/** The same client on both sides: times of builds are compared within a pair. */
interface Pair {
  readonly client: string;
  readonly goal: keyof Scenario['goals'];
  readonly ours: Builder;
  readonly theirs: Builder;
  /** The same client, whom nobody keeps waiting. */
  readonly nobody: Builder;
}

interface Row {
  readonly scenario: string;
  readonly client: string;
  readonly ours: number;
  readonly theirs: number;
  readonly alone: number | undefined;
  readonly goal: number | undefined;
}

/**
 * Slipway's builder beside BuildKit and the current engine, in alternation, and the memory that its worker takes at most. `--only WORDS` chooses scenarios, `--client WORDS`
 * clients, `--rounds N` how often; `--no-engine` leaves the engine out, `--write FILE` writes the table to the end of a file.
 */
export async function run(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      only: { type: 'string', default: '' },
      client: { type: 'string', default: '' },
      rounds: { type: 'string' },
      'no-engine': { type: 'boolean' },
      write: { type: 'string' },
    },
  });
  const scenarios = SCENARIOS.filter(({ name }) => name.includes(values.only)).map((scenario) =>
    values.rounds ? { ...scenario, rounds: Number(values.rounds) } : scenario,
  );
  const choice = { client: values.client, withEngine: !values['no-engine'] };
  const rows = scenarios.length > 0 ? await compareAll(scenarios, choice) : [];
  const memory: MemoryRow[] = [];
  for await (const row of peakMemory(values.only)) {
    memory.push(row);
    process.stdout.write(
      `${row.scenario}: ${row.peak} MB (≤ ${MEMORY_GOAL}: ${row.peak <= MEMORY_GOAL ? 'reached' : 'missed'})\n`,
    );
  }
  if (values.write) writeTables(values.write, rows, memory);
}

async function compareAll(
  scenarios: readonly Scenario[],
  { client: chosen, withEngine }: { client: string; withEngine: boolean },
): Promise<Row[]> {
  await benchPackages();
  const engine = withEngine ? currentEngine() : undefined;
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const socket = join(folder, 'buildkit.sock');
  const slipway = stack.use(
    await startSlipway({
      env: { SLIPWAY_LOG_LEVEL: 'warn', SLIPWAY_WORKER_BUILDKIT_LISTEN: `["unix://${socket}"]` },
    }),
  );
  await seedImages(slipway.registry, ['busybox', 'debian', 'node']);
  const buildkitd = stack.use(await Buildkitd.start(releasedBuildkitd()));
  const nobody = stack.use(await Nobody.start(folder));
  const images = `${slipway.registry}/library/`;
  const pairs: Pair[] = [
    {
      client: 'buildctl',
      goal: 'buildkit',
      ours: buildctl('Slipway', `unix://${socket}`, images),
      theirs: buildctl('buildkitd', buildkitd.address, images),
      nobody: buildctl('nobody', nobody.buildkit, images),
    },
  ];
  if (engine) {
    const dockerd = stack.use(await Dockerd.start({ network: 'own', programs: engine }));
    for (const name of ['busybox', 'debian', 'node']) {
      await slipway.dockerOk('pull', '--quiet', name);
      await copyImage(name, slipway, dockerd);
    }
    const nobodyEnv = { ...slipway.clientEnv, DOCKER_HOST: nobody.engine };
    for (const classic of [false, true]) {
      pairs.push({
        client: classic ? 'docker build, classic' : 'docker buildx',
        goal: classic ? 'classic' : 'engine',
        ours: dockerBuild('Slipway', { env: withBuildx(slipway.clientEnv), images: '', classic }),
        theirs: dockerBuild('engine', { env: withBuildx(dockerd.clientEnv), images: '', classic }),
        nobody: dockerBuild('nobody', { env: withBuildx(nobodyEnv), images: '', classic }),
      });
    }
  }
  const rows: Row[] = [];
  for (const scenario of scenarios) {
    for (const pair of pairs.filter(({ client }) => client.includes(chosen))) {
      if (pair.goal === 'classic' && scenario.goals.classic === undefined) continue;
      if (pair.goal !== 'buildkit' && (scenario.pushAfter !== undefined || scenario.pushed)) continue;
      const row = await compare(scenario, pair, { root: folder, registry: slipway.registry });
      rows.push(row);
      process.stdout.write(`${line(row)}\n`);
    }
  }
  return rows;
}

/** What either side still does behind its last build is not to be in the next one's way. Not waited for forever. */
async function idle(): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (let calm = 0; calm < 3 && performance.now() < deadline; ) {
    const before = processorTimes();
    await sleep(100);
    const after = processorTimes();
    calm = (after.idle - before.idle) / (after.all - before.all) > 0.9 ? calm + 1 : 0;
  }
}

function processorTimes(): { idle: number; all: number } {
  const times = cpus().map((cpu) => cpu.times);
  const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0);
  return {
    idle: sum(times.map((one) => one.idle)),
    all: sum(times.flatMap((one) => Object.values(one))),
  };
}

async function compare(
  scenario: Scenario,
  { client, goal, ours, theirs, nobody }: Pair,
  { root, registry }: { root: string; registry: string },
): Promise<Row> {
  const builders = scenario.alone ? [ours, theirs, nobody] : [ours, theirs];
  const times = new Map<Builder, number[]>(builders.map((builder) => [builder, []]));
  const contexts = new Map(
    builders.map((builder) => {
      const context = mkdtempSync(join(root, 'context-'));
      scenario.prepare(context, builder.images);
      return [builder, context];
    }),
  );
  for (let round = -1; round < scenario.rounds; round++) {
    for (const builder of builders) {
      const context = contexts.get(builder)!;
      scenario.change?.(context, round);
      const buildArgs = scenario.cold ? [`NONCE=${process.pid}-${round}-${Math.random()}`] : [];
      const pushes = scenario.pushed || scenario.pushAfter !== undefined;
      const push = pushes ? `${registry}/bench/${builder.name.toLowerCase()}:${round + 1}` : undefined;
      if (scenario.pushAfter !== undefined) {
        await builder.build({ context, buildArgs });
        await sleep(scenario.pushAfter);
      }
      if (scenario.pushAfter === undefined) await idle();
      const started = performance.now();
      await builder.build({ context, buildArgs, ...(push && { push }) });
      if (round >= 0) times.get(builder)!.push(performance.now() - started);
    }
  }
  for (const context of contexts.values()) rmSync(context, { recursive: true });
  return {
    scenario: scenario.name,
    client,
    ours: median(times.get(ours)!),
    theirs: median(times.get(theirs)!),
    alone: scenario.alone ? median(times.get(nobody)!) : undefined,
    goal: scenario.goals[goal],
  };
}

function line({ scenario, client, ours, theirs, alone, goal }: Row): string {
  const ratio = ours / theirs;
  const reached = goal === undefined ? '' : ` (≤ ${goal}: ${ratio <= goal ? 'reached' : 'missed'})`;
  const floor = alone === undefined ? '' : `, the client alone ${alone.toFixed(0)} ms`;
  return `${scenario}, ${client}: ${ours.toFixed(0)} ms, peer ${theirs.toFixed(0)} ms${floor}, ${ratio.toFixed(2)}×${reached}`;
}

function writeTables(file: string, rows: readonly Row[], memory: readonly MemoryRow[]): void {
  const [cpu] = cpus();
  const head =
    '| | client | Slipway | peer | the client alone | ratio | goal |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |';
  const body = rows.map(({ scenario, client, ours, theirs, alone, goal }) => {
    const floor = alone === undefined ? '' : `${alone.toFixed(0)} ms`;
    const ratio = ours / theirs;
    const aim = goal === undefined ? '' : `≤ ${goal} ${ratio <= goal ? '✓' : '✗'}`;
    return `| ${scenario} | ${client} | ${ours.toFixed(0)} ms | ${theirs.toFixed(0)} ms | ${floor} | ${ratio.toFixed(2)}× | ${aim} |`;
  });
  const debian = /PRETTY_NAME="([^"]*)"/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const machine = `${cpus().length} × ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${debian}, Linux ${release()}, Node ${process.version.slice(1)}`;
  const intro = `${SECTION}\n\n\`npm run bench -- build\` gave these figures: medians of builds in turns, the same client and context on\nboth sides. Peers: buildkitd 0.25.2 for buildctl, the current engine (moby 2) for docker. Less is better.\n\n- ${machine}\n`;
  // What others have written into the file stays.
  const before = existsSync(file) ? readFileSync(file, 'utf8').split(`\n${SECTION}\n`)[0]!.trimEnd() : '';
  const peaks = memory.map(
    ({ scenario, peak }) =>
      `| ${scenario} | ${peak} MB | ≤ ${MEMORY_GOAL} ${peak <= MEMORY_GOAL ? '✓' : '✗'} |`,
  );
  const memoryTable = `| the worker's memory | greatest RSS | goal |\n| --- | ---: | --- |\n${peaks.join('\n')}\n`;
  writeFileSync(file, `${before}\n\n${intro}\n${head}\n${body.join('\n')}\n\n${memoryTable}`.trimStart());
}

function withBuildx(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const plugins = join(env.DOCKER_CONFIG!, 'cli-plugins');
  mkdirSync(plugins, { recursive: true });
  try {
    symlinkSync(buildKitProgram('docker-buildx'), join(plugins, 'docker-buildx'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return env;
}

/** By an archive: the peer has a network of its own, from which our registry cannot be reached. */
async function copyImage(name: string, from: Slipway, to: Dockerd): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  try {
    const archive = join(folder, 'image.tar');
    await from.dockerOk('save', '--output', archive, name);
    await to.dockerOk('load', '--input', archive);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
