import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Buildkitd, buildKitProgram } from '../e2e/harness/buildkitd.ts';
import { run as runProgram } from '../e2e/harness/command.ts';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { seedImages } from '../images/stand-ins.ts';
import { releasedBuildkitd } from './build/peer-programs.ts';

const FILES_A_DIRECTORY = 1_000;
const TICKS_A_SECOND = 100;

interface Builder {
  readonly name: string;
  readonly pid: number;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly classic?: boolean;
}

/**
 * A context of very many tiny files through a whole build: sent, copied, counted by a step, and pushed. Then the same again, and with
 * one of them changed. `--files N` (a million), `--client remote|engine|classic` and `--peer` for buildkitd beside it.
 */
export async function run(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      files: { type: 'string', default: '1000000' },
      client: { type: 'string', default: '' },
      peer: { type: 'boolean' },
    },
  });
  const files = Number(values.files);
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const slipway = stack.use(await startSlipway({ buildkit: true, env: { SLIPWAY_LOG_LEVEL: 'warn' } }));
  await seedImages(slipway.registry, ['busybox']);
  const env = { ...slipway.clientEnv, DOCKER_BUILDKIT: '1' };
  addBuildx(env);
  const builders: Builder[] = [];
  const addRemote = async (name: string, address: string, pid: number) => {
    await runProgram('docker', ['buildx', 'create', '--name', name, '--driver', 'remote', address], { env });
    const args = ['buildx', 'build', '--progress=plain', '--provenance=false', '--builder', name];
    const output = `type=image,name=${slipway.registry}/bench/${name}:1,push=true`;
    builders.push({ name: `buildx, ${name}`, pid, args: [...args, '--output', output], env });
  };
  const worker = slipway.rolePid('worker');
  await addRemote('remote', slipway.buildkit, worker);
  const engine = ['buildx', 'build', '--progress=plain', '--provenance=false', '--tag', 'engine'];
  builders.push({ name: 'buildx, engine', pid: worker, args: engine, env });
  const old = { ...env, DOCKER_BUILDKIT: '0' };
  builders.push({
    name: 'classic',
    pid: worker,
    args: ['build', '--tag', 'classic'],
    env: old,
    classic: true,
  });
  if (values.peer) {
    const buildkitd = stack.use(await Buildkitd.start(releasedBuildkitd()));
    await addRemote('buildkitd', buildkitd.address, buildkitd.pid);
  }
  const context = join(folder, 'context');
  writeContext(context, `${slipway.registry}/library/busybox`, files);
  for (const builder of builders.filter(
    ({ name }) => name.includes(values.client) || name.includes('buildkitd'),
  )) {
    for (const [round, what] of ['first', 'again', 'one file changed'].entries()) {
      if (round === 2) writeFileSync(join(context, 'tree', '0', '0'), `${builder.name} changed this\n`);
      process.stdout.write(`${builder.name}, ${what}: ${await measured(builder, context, files)}\n`);
    }
  }
}

async function measured(builder: Builder, context: string, files: number): Promise<string> {
  // The greatest size from here on.
  writeFileSync(`/proc/${builder.pid}/clear_refs`, '5');
  const before = processorSeconds(builder.pid);
  const started = performance.now();
  const { code, stdout, stderr } = await runProgram('docker', [...builder.args, context], {
    env: builder.env,
  });
  const seconds = (performance.now() - started) / 1_000;
  const output = stdout + stderr;
  if (code !== 0) throw new Error(`${builder.name}: exit code ${code}\n${output.slice(-4_000)}`);
  const counted = /counted (\d+)/.exec(output.replaceAll('counted $', ''))?.[1];
  const cached = /^#\d+ CACHED$|Using cache/m.test(output);
  if (!cached && Number(counted) !== files) throw new Error(`${counted} files of ${files} were there`);
  const sent = [
    ...output.matchAll(/transferring context: (\S+)|Sending build context to Docker daemon\s+(\S+)/g),
  ];
  const bytes = sent.at(-1)?.[1] ?? sent.at(-1)?.[2] ?? '?';
  const status = readFileSync(`/proc/${builder.pid}/status`, 'utf8');
  const peak = (Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) * 1024) / 1e6;
  const cpu = processorSeconds(builder.pid) - before;
  return `${seconds.toFixed(1)} s, CPU ${cpu.toFixed(1)} s, greatest RSS ${peak.toFixed(0)} MB, sent ${bytes}`;
}

/** Of a process, its threads and the children that it has waited for. */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

function writeContext(folder: string, base: string, files: number): void {
  mkdirSync(folder);
  const count = 'echo "counted $(find /tree -type f | wc -l)"';
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${base}\nCOPY tree /tree\nRUN ${count}\n`);
  for (let i = 0; i < files; i++) {
    const directory = join(folder, 'tree', `${Math.floor(i / FILES_A_DIRECTORY)}`);
    if (i % FILES_A_DIRECTORY === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `${i % FILES_A_DIRECTORY}`), `tiny ${i}\n`);
  }
}

function addBuildx(env: NodeJS.ProcessEnv): void {
  const plugins = join(env.DOCKER_CONFIG!, 'cli-plugins');
  mkdirSync(plugins, { recursive: true });
  symlinkSync(buildKitProgram('docker-buildx'), join(plugins, 'docker-buildx'));
}
