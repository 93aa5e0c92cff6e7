import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { TestAuthority } from '../registry/certificates.ts';
import { succeed } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** What several workers are asked to build at the same time is built once. They do one build at a time. */

let pool: Slipway;
let clients: Clients;
let own: string;
let authority: TestAuthority;
/** Where the gateway listens for BuildKit’s clients, who show certificates. */
let buildkit: string;

beforeAll(async () => {
  own = mkdtempSync(join(tmpdir(), 'slipway-'));
  authority = await TestAuthority.create();
  for (const name of ['gateway', 'ada']) await authority.issue(name);
  const [port] = await freePorts(1);
  buildkit = `tcp://127.0.0.1:${port}`;
  const env = {
    SLIPWAY_GATEWAY_BUILDKIT_LISTEN: `[${buildkit}]`,
    SLIPWAY_GATEWAY_BUILDKIT_TLS_CERTIFICATE: authority.path('gateway.pem'),
    SLIPWAY_GATEWAY_BUILDKIT_TLS_KEY: authority.path('gateway.key'),
    SLIPWAY_GATEWAY_BUILDKIT_TLS_CLIENT_CA: authority.path('ca.pem'),
    SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.218.0.0/16, size: 24 }]',
    SLIPWAY_WORKER_BUILD_MAX_CONCURRENT: '1',
  };
  pool = await startSlipway({ args: ['--workers', '3'], env });
  clients = createClients(`unix://${pool.socket}`);
  await pool.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await pool?.[Symbol.asyncDispose]();
  await authority?.[Symbol.asyncDispose]();
  rmSync(own, { recursive: true, force: true });
});

const random = (file: string) => `RUN cat /proc/sys/kernel/random/uuid > ${file}`;

function context(name: string, ...lines: string[]): string {
  const folder = join(own, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'file'), name);
  writeFileSync(join(folder, 'Dockerfile'), ['FROM busybox', ...lines, ''].join('\n'));
  return folder;
}

interface Built {
  /** Of its configuration, which holds what each step came to, and when. */
  readonly id: string;
  /** The names of the steps that were done, not found. */
  readonly ran: string[];
  /** What its record is called. */
  readonly reference: string;
}

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));
const WORKERS = ['worker-1', 'worker-2', 'worker-3'];
/** What a gateway has read of its workers it goes by for a quarter of a second. */
const KNOWN_FOR = 300;

async function drained(command: 'drain' | 'resume', worker: string): Promise<void> {
  const env = { ...process.env, SLIPWAY_DATA_DIR: pool.dataDir };
  await succeed(program, ['worker', command, worker], { env });
  await sleep(KNOWN_FOR);
}

/** Which workers have an image. */
async function workersOf(tag: string): Promise<string[]> {
  const images = WORKERS.map(async (worker) => {
    const env = { ...pool.clientEnv, DOCKER_HOST: `unix://${socketOf(worker)}` };
    return (await succeed('docker', ['images', '--quiet', tag], { env })) === '' ? [] : [worker];
  });
  return (await Promise.all(images)).flat();
}

/** Has the pool take a worker for one of another platform. */
function pretend(worker: string, platform: string): void {
  using db = new DatabaseSync(join(pool.dataDir, 'pool', 'pool.db'));
  db.prepare("update workers set offer = json_set(offer, '$.platforms', json(?)) where name = ?").run(
    JSON.stringify([platform]),
    worker,
  );
}

interface BuildOptions {
  /** A worker that is asked without the gateway. */
  readonly on?: string;
  readonly args?: readonly string[];
  /** Called with all that was printed so far. */
  readonly onOutput?: (text: string) => void;
}

let count = 0;

async function build(folder: string, options: BuildOptions = {}): Promise<Built> {
  const metadata = join(own, `metadata-${count++}`);
  using direct = options.on === undefined ? undefined : createClients(`unix://${socketOf(options.on)}`);
  let text = '';
  const onOutput = (piece: string) => {
    text += piece;
    options.onOutput?.(text);
  };
  const args = ['--progress', 'rawjson', '--metadata-file', metadata, ...(options.args ?? []), folder];
  const built = await (direct ?? clients).buildx(['build', ...args], { onOutput });
  expect(built).toSucceed();
  const told = JSON.parse(readFileSync(metadata, 'utf8')) as Record<string, string>;
  return {
    id: told['containerimage.config.digest']!,
    ran: stepsDone(built.stderr),
    reference: told['buildx.build.ref']!.split('/').at(-1)!,
  };
}

function stepsDone(progress: string): string[] {
  const cached = new Map<string, boolean>();
  for (const line of progress.split('\n').filter((each) => each.startsWith('{'))) {
    const { vertexes = [] } = JSON.parse(line) as { vertexes?: Vertex[] };
    for (const vertex of vertexes) if (vertex.completed) cached.set(vertex.name, vertex.cached ?? false);
  }
  return [...cached].flatMap(([name, isCached]) =>
    /^\[.*\] (RUN|COPY)/.test(name) && !isCached ? [name] : [],
  );
}

interface Vertex {
  readonly name: string;
  readonly completed?: string;
  readonly cached?: boolean;
}

const socketOf = (worker: string) => join(pool.folder, 'run', worker, 'docker.sock');

/** A build that shows when it does what `begun` is printed by, and when it waits for another worker. */
function watched(folder: string, options: BuildOptions) {
  const [begun, waits] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const onOutput = (text: string) => {
    // Logs are in Base64.
    if (text.includes(BEGUN)) begun.resolve();
    if (text.includes('which does this step')) waits.resolve();
  };
  const done = build(folder, { ...options, onOutput });
  done.catch(() => undefined);
  const early = done.then(() => {
    throw new Error('the build was over before');
  });
  early.catch(() => undefined);
  return {
    done,
    begun: () => Promise.race([begun.promise, early]),
    waits: () => Promise.race([waits.promise, early]),
  };
}

/** How `begun` begins, in Base64. */
const BEGUN = Buffer.from('begun!').toString('base64');

/** A step that does what its client says, which is not part of what it is known by. */
const steered = (name: string) =>
  `RUN --mount=type=secret,id=mode echo begun! ${name} && . /run/secrets/mode && cat /proc/sys/kernel/random/uuid > /id`;

function told(command: string): string[] {
  const file = join(own, `mode-${count++}`);
  writeFileSync(file, command);
  return ['--secret', `id=mode,src=${file}`];
}

/** In seconds; nobody else sleeps so long. */
const NAP = 98_761;

/** The process of a step. */
function napping(): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${NAP}\0`;
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error('the step does not sleep');
  return Number(found);
}

it('does each step of identical builds once, on whichever workers they are', async () => {
  const steps = [
    `${random('/one')} && sleep 1`,
    'COPY file /file',
    random('/two'),
    'RUN sleep 0.2 && cat /one /two /file > /three',
  ];
  const folder = context('identical', ...steps);
  // Each worker does one build at a time.
  const built = await Promise.all([build(folder), build(folder), build(folder)]);
  expect(new Set(built.map(({ id }) => id)).size).toBe(1);
  expect(built.flatMap(({ ran }) => ran).toSorted()).toEqual(
    steps.map((step, at) => `[${at + 2}/5] ${step}`).toSorted(),
  );
  // What another worker has just built is found there, however soon that is.
  const [, second] = [
    await build(context('warm', 'COPY file /file', random('/one'), random('/two')), { on: 'worker-1' }),
    await build(join(own, 'warm'), { on: 'worker-2' }),
  ];
  expect(second.ran).toEqual([]);
});

it('builds where caches are warm, and elsewhere does nothing again', async () => {
  const folder = context('project', 'COPY file /file', random('/one'), random('/two'));
  // A worker is preferred for a new project, too: only one that was not can show that it is for its caches.
  for (const by of [
    { name: 'by-buildx', build: (...tag: string[]) => build(folder, { args: [...tag, '--load'] }) },
    {
      name: 'by-docker',
      build: async (...tag: string[]) => void (await pool.dockerOk('build', ...tag, folder)),
    },
  ]) {
    const one = ['--tag', by.name];
    await by.build(...one);
    const [first] = await workersOf(by.name);
    await pool.dockerOk('rmi', by.name);
    await drained('drain', first!);
    expect((await by.build(...one))?.ran ?? []).toEqual([]);
    const [second] = await workersOf(by.name);
    expect(second).not.toBe(first);
    await drained('resume', first!);
    writeFileSync(join(folder, 'file'), by.name);
    await by.build(...one);
    expect(await workersOf(by.name)).toEqual([second]);
  }
});

it('builds for a platform on a worker of that platform', async () => {
  const folder = join(own, 'foreign');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
  const other = ['--platform', 'linux/arm64/v8'];
  // One of them would have got it in any case.
  for (const worker of WORKERS.slice(0, 2)) {
    pretend(worker, 'linux/arm64');
    await sleep(KNOWN_FOR);
    await build(folder, { args: [...other, '--load', '--tag', `x-${worker}`] });
    expect(await workersOf(`x-${worker}`)).toEqual([worker]);
    await pool.dockerOk('build', ...other, '--tag', `c-${worker}`, folder);
    expect(await workersOf(`c-${worker}`)).toEqual([worker]);
    pretend(worker, 'linux/amd64');
  }
  await sleep(KNOWN_FOR);
  const nobody = await pool.docker(['create', '--platform', 'linux/s390x', 'busybox']);
  expect(nobody.stderr).toContain('no worker of the pool fits: platform linux/s390x');
});

it('is one builder for BuildKit’s clients, who have to show a certificate', async () => {
  const [ca, cert, key] = ['ca.pem', 'ada.pem', 'ada.key'].map((file) => authority.path(file));
  const known = ['--tlscacert', ca!, '--tlscert', cert!, '--tlskey', key!];
  await using stranger = await TestAuthority.create();
  await stranger.issue('eve');
  const foreign = ['--tlscert', stranger.path('eve.pem'), '--tlskey', stranger.path('eve.key')];
  for (const refused of [[], ['--tlscacert', ca!], ['--tlscacert', ca!, ...foreign]]) {
    const asked = ['--timeout', '1', ...refused, 'debug', 'workers'];
    expect(await clients.buildctl(buildkit, asked)).toMatchObject({ code: 1, stdout: '' });
  }
  expect(await clients.buildctl(buildkit, [...known, 'debug', 'workers'])).toSucceed();
  const options = `cacert=${ca},cert=${cert},key=${key},servername=localhost`;
  const remote = ['--name', 'pool', '--driver', 'remote', '--driver-opt', options, buildkit];
  expect(await clients.buildx(['create', ...remote])).toSucceed();
  const ask = async (...args: string[]) => {
    const asked = await clients.buildx([...args.slice(0, 1), '--builder', 'pool', ...args.slice(1)]);
    expect(asked).toSucceed();
    return asked.stdout + asked.stderr;
  };
  const references = new Map<string, string>();
  for (const worker of WORKERS) {
    const folder = context(`on-${worker}`, `RUN echo ${worker} > /own`);
    references.set(worker, (await build(folder, { on: worker })).reference);
  }
  // What all workers have is told, kept and thrown away as what one has.
  const usage = await ask('du', '--verbose');
  for (const worker of WORKERS) expect(usage).toContain(`RUN echo ${worker} > /own`);
  const past = await ask('history', 'ls');
  for (const [worker, reference] of references) {
    expect(past).toContain(reference);
    expect(await ask('history', 'logs', reference)).toContain(`RUN echo ${worker} > /own`);
  }
  expect(await ask('prune', '--all', '--force')).toContain('Total:');
  expect(await ask('du', '--verbose')).not.toContain('RUN echo');
});

it('does a step itself when it failed elsewhere, and each time without a cache', async () => {
  const folder = context('fails', steered('fails'));
  const failing = watched(folder, { on: 'worker-1', args: told(`sleep ${NAP}`) });
  await failing.begun();
  const waiting = watched(folder, { on: 'worker-2', args: told('true') });
  await waiting.waits();
  process.kill(napping(), 'SIGKILL');
  await expect(failing.done).rejects.toThrow('did not complete successfully');
  expect((await waiting.done).ran).toHaveLength(1);
  const anew = [1, 2, 3].map((number) =>
    build(folder, { on: `worker-${number}`, args: ['--no-cache', ...told('true')] }),
  );
  const built = await Promise.all(anew);
  expect(new Set(built.map(({ id }) => id)).size).toBe(3);
});

it('takes over from a worker that is killed', async () => {
  const folder = context('killed', steered('killed'));
  const hanging = watched(folder, { on: 'worker-1', args: told('sleep 1000') });
  await hanging.begun();
  const waiting = ['worker-2', 'worker-3'].map((on) => watched(folder, { on, args: told('sleep 1') }));
  for (const each of waiting) await each.waits();
  process.kill(pool.rolePid('worker-1/worker'), 'SIGKILL');
  const built = await Promise.all(waiting.map(({ done }) => done));
  await expect(hanging.done).rejects.toThrow();
  expect(new Set(built.map(({ id }) => id)).size).toBe(1);
  expect(built.flatMap(({ ran }) => ran)).toHaveLength(1);
});
