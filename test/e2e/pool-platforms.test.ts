import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { Emulator } from './harness/emulator.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/**
 * Builds for several platforms, in a pool where each has workers of its own. All run on this machine's processor: what two of
 * them say of theirs is not true, and programs for arm64 are none. What is tested is who is asked for what.
 */

const NATIVES = ['worker-2', 'worker-3'] as const;
const PLATFORMS = 'linux/amd64,linux/arm64';
/** What a gateway has read of its workers it goes by for a quarter of a second. */
const KNOWN_FOR = 300;

let pool: Slipway;
let clients: Clients;
let emulator: Emulator;
let own: string;

beforeAll(async () => {
  own = mkdtempSync(join(tmpdir(), 'slipway-'));
  const env = {
    SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.217.0.0/16, size: 24 }]',
    // Who loses its lease says anew what it is.
    SLIPWAY_POOL_LEASE: '60s',
  };
  pool = await startSlipway({ args: ['--workers', '3'], env });
  clients = createClients(`unix://${pool.socket}`);
  // Workers would not take what their processor does not run; nobody says that it emulates, which was asked before.
  emulator = await Emulator.register();
  await pretend();
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await pool?.[Symbol.asyncDispose]();
  await emulator?.[Symbol.asyncDispose]();
  rmSync(own, { recursive: true, force: true });
});

/** Has the pool take two of the workers for ones of another platform, who get no whole builds. */
async function pretend(): Promise<void> {
  using db = new DatabaseSync(join(pool.dataDir, 'pool', 'pool.db'), { timeout: 10_000 });
  const offer = `json_set(offer, '$.platforms', json('["linux/arm64"]'), '$.builds', 0)`;
  const change = db.prepare(`update workers set offer = ${offer} where name = ?`);
  for (const worker of NATIVES) change.run(worker);
  await sleep(2 * KNOWN_FOR);
}

/** Steps say where they are by their address: each worker has a part of the network of its own. */
const WHERE = '/bin/busybox ip -4 -o addr show eth0';
const exec = (script: string, ...options: string[]) =>
  `RUN ${options.map((option) => `${option} `).join('')}["/bin/busybox", "sh", "-ec", ${JSON.stringify(script)}]`;

function context(name: string, ...lines: string[]): string {
  const folder = join(own, name);
  mkdirSync(folder);
  copyFileSync('/bin/busybox', join(folder, 'busybox'));
  writeFileSync(join(folder, 'file'), name);
  const all = ['FROM scratch AS build', 'COPY busybox /bin/busybox', 'ARG TARGETARCH', ...lines, ''];
  writeFileSync(join(folder, 'Dockerfile'), all.join('\n'));
  return folder;
}

/** The worker at an address: the n-th has the n-th sixteenth of a network of 24 bits. */
function workerAt(text: string): string {
  const [, last] = /inet \d+\.\d+\.\d+\.(\d+)\/28 /.exec(text) ?? [];
  if (last === undefined) throw new Error(`no address: ${JSON.stringify(text)}`);
  return `worker-${Math.floor(Number(last) / 16) + 1}`;
}

/** The steps of a build that were not found in the cache, by their names. */
function stepsDone(progress: string): string[] {
  const steps = [...progress.matchAll(/^(#\d+) (\[.*\] (?:RUN|COPY) .*)$/gm)];
  const isCached = (id: string) => new RegExp(`^${id} CACHED$`, 'm').test(progress);
  return [...new Map(steps.map(([, id, name]) => [id!, name!]))].flatMap(([id, name]) =>
    isCached(id) ? [] : [name],
  );
}

const read = (...path: string[]) => readFileSync(join(own, ...path), 'utf8');

async function build(folder: string, ...args: string[]) {
  const built = await clients.buildx([
    'build',
    '--progress',
    'plain',
    '--platform',
    PLATFORMS,
    ...args,
    folder,
  ]);
  expect(built).toSucceed();
  return built.stderr;
}

it('has each platform’s commands done by a worker of that platform, whatever the build brings along', async () => {
  const secret = join(own, 'secret');
  writeFileSync(secret, 'very secret');
  const folder = context(
    'all',
    'COPY file /file',
    exec(`${WHERE} > /where; /bin/busybox cat /file > /copied; echo first > /stays`),
    exec('/bin/busybox cat /context/file > /bound', '--mount=type=bind,target=/context'),
    exec('/bin/busybox wc -c < /run/secrets/word > /secret', '--mount=type=secret,id=word'),
    exec(`/bin/busybox cat /stays > /again; ${WHERE} > /last`, '--mount=type=cache,target=/cache'),
    'FROM scratch',
    'COPY --from=build /where /copied /bound /secret /again /last /',
  );
  const args = ['--secret', `id=word,src=${secret}`, '--output', `type=local,dest=${join(own, 'out')}`];
  const progress = await build(folder, ...args);
  for (const [platform, workers] of Object.entries({ amd64: ['worker-1'], arm64: NATIVES })) {
    const at = (file: string) => read('out', `linux_${platform}`, file);
    expect(workers).toContain(workerAt(at('where')));
    // All of a build's steps are where their layers are.
    expect(workerAt(at('last'))).toBe(workerAt(at('where')));
    expect([at('copied'), at('bound'), at('secret'), at('again')]).toEqual(['all', 'all', '11\n', 'first\n']);
  }
  const native = workerAt(read('out', 'linux_arm64', 'where'));
  expect(progress).toContain(`done by ${native}, which is linux/arm64`);
  expect(progress).not.toContain('which is linux/amd64');
});

it('comes to one image, of which nothing is done again', async () => {
  const folder = context(
    'image',
    exec(`${WHERE} > /where; echo heard-$TARGETARCH; echo $TARGETARCH > /arch`),
  );
  const [name, other] = [`${pool.registry}/team/both:1`, `${pool.registry}/team/other:2`];
  const cache = `type=registry,ref=${pool.registry}/team/cache,mode=max`;
  const push = ['--push', '--tag', name!, '--tag', other!, '--provenance', 'mode=max', '--cache-to', cache];
  const first = await build(folder, ...push);
  for (const arch of ['amd64', 'arm64'])
    expect(first).toMatch(new RegExp(`^#\\d+ [\\d.]+ heard-${arch}$`, 'm'));
  const inspected = await clients.buildx(['imagetools', 'inspect', '--raw', name!]);
  const index = JSON.parse(inspected.stdout) as { manifests: { platform: { architecture: string } }[] };
  const architectures = index.manifests.map(({ platform }) => platform.architecture);
  expect(architectures.toSorted()).toEqual(['amd64', 'arm64', 'unknown', 'unknown']);
  expect((await clients.buildx(['imagetools', 'inspect', '--raw', other!])).stdout).toBe(inspected.stdout);
  const provenance = ['--format', '{{ range $p, $_ := .Provenance }}{{ $p }} {{ end }}'];
  const stated = await clients.buildx(['imagetools', 'inspect', ...provenance, name!]);
  expect(stated.stdout.trim().split(' ').toSorted()).toEqual(['linux/amd64', 'linux/arm64']);
  for (const arch of ['amd64', 'arm64']) {
    const run = ['run', '--rm', '--quiet', '--pull', 'always', '--env', 'constraint:worker==worker-1'];
    // Both are programs of this machine.
    const found = await pool.dockerOk(
      ...run,
      '--platform',
      `linux/${arch}`,
      name!,
      '/bin/busybox',
      'cat',
      '/arch',
    );
    expect(found).toBe(arch);
  }
  const again = await build(folder, '--output', `type=oci,dest=${join(own, 'both.tar')}`);
  expect(stepsDone(again), again).toEqual([]);
  expect(stepsDone(first).filter((name) => name.includes(' RUN '))).toHaveLength(2);
});

it('says why a command failed as if it were done here', async () => {
  const folder = context('fails', exec('echo before; /bin/busybox test $TARGETARCH = amd64 || exit 4'));
  const asked = ['build', '--progress', 'plain', '--platform', PLATFORMS, folder];
  const { code, stderr } = await clients.buildx(asked);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/done by worker-[23], which is linux\/arm64/);
  expect(stderr).toContain('did not complete successfully: exit code: 4');
  expect(stderr).toMatch(/^Dockerfile:4$/m);
  expect(stderr).toMatch(/^ {3}4 \| >>> RUN /m);
});

it('has it done by another one when a worker is killed, and here when there is none', async () => {
  const folder = context(
    'killed',
    exec(`/bin/busybox test $TARGETARCH = amd64 || /bin/busybox sleep 4; ${WHERE} > /where`),
    'FROM scratch',
    'COPY --from=build /where /',
  );
  const killed: string[] = [];
  const onOutput = (text: string) => {
    for (const [, worker] of text.matchAll(/done by (worker-\d), which is linux\/arm64/g)) {
      if (killed.includes(worker!)) continue;
      killed.push(worker!);
      process.kill(pool.rolePid(`${worker}/worker` as never), 'SIGKILL');
    }
  };
  const args = ['build', '--progress', 'plain', '--platform', PLATFORMS];
  const output = ['--output', `type=local,dest=${join(own, 'left')}`];
  const built = await clients.buildx([...args, ...output, folder], { onOutput });
  expect(built).toSucceed();
  // Its machine comes back as what it is, and the third one is asked, or its own; all of them are said.
  expect(killed.toSorted()).toEqual([...NATIVES]);
  expect(workerAt(read('left', 'linux_arm64', 'where'))).toBe('worker-1');
  expect(workerAt(read('left', 'linux_amd64', 'where'))).toBe('worker-1');
});
