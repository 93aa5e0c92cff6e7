import { existsSync, readlinkSync } from 'node:fs';
import { mkdir, readdir, rmdir, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestSession } from '#test/contracts/build/test-session.ts';
import { type BuildWorker, startBuildWorker } from './build-worker.ts';

/** What the query of `POST /build` may say, and what the one solver brings to classic builds. */

const CGROUPS = '/sys/fs/cgroup';
/** Of this run alone. */
const GROUP = `slipway-options-${process.pid}`;

let worker: BuildWorker;

beforeAll(async () => {
  worker = await startBuildWorker();
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  for (const controller of ['', ...(await readdir(CGROUPS))])
    await rmdir(join(CGROUPS, controller, GROUP)).catch(() => undefined);
});

const lines = (...text: string[]) => `${text.join('\n')}\n`;
const build = (dockerfile: string[], query: Record<string, string | string[]> = {}, files = {}) =>
  worker.build({ Dockerfile: lines(...dockerfile), ...files }, { nocache: '1', ...query });

const REMOVED = 'Removed intermediate container';

describe('a command', () => {
  it('is told to be gone, unless that is not asked for', async () => {
    const dockerfile = ['FROM busybox', 'RUN true'];
    expect((await build(dockerfile)).output).toContain(REMOVED);
    expect((await build(dockerfile, { rm: '0' })).output).not.toContain(REMOVED);
    const failing = ['FROM busybox', 'RUN exit 1'];
    expect((await build(failing)).output).not.toContain(REMOVED);
    expect((await build(failing, { forcerm: '1' })).output).toContain(REMOVED);
  });

  it('has the hosts, shared memory, limits and the control group that are asked for', async () => {
    const answer = await build(
      [
        'FROM busybox',
        'RUN grep -h one /etc/hosts; df -k /dev/shm | tail -1; ulimit -n; cat /proc/self/cgroup | grep -c slipway-options',
      ],
      {
        extrahosts: ['one:192.0.2.1', 'one=2001:db8::1'],
        shmsize: String(1024 * 1024),
        ulimits: JSON.stringify([{ Name: 'nofile', Soft: 77, Hard: 77 }]),
        cgroupparent: `/${GROUP}`,
      },
    );
    expect(answer.error).toBeUndefined();
    expect(answer.output).toMatch(/192\.0\.2\.1\tone\n2001:db8::1\tone\nshm +1024 .*\n77\n[1-9]/);
  });

  it('has no more memory and processors than are asked for', async () => {
    const limits = {
      memory: String(64 * 1024 * 1024),
      memswap: String(96 * 1024 * 1024),
      cpushares: '512',
      cpuperiod: '50000',
      cpuquota: '25000',
      cpusetcpus: '0',
      cpusetmems: '0',
    };
    const unified = existsSync(`${CGROUPS}/cgroup.controllers`);
    const files = unified
      ? ['memory.max', 'memory.swap.max', 'cpu.weight', 'cpu.max']
      : [
          ...['memory/memory.limit_in_bytes', 'memory/memory.memsw.limit_in_bytes', 'cpu/cpu.shares'],
          ...['cpu/cpu.cfs_quota_us', 'cpu/cpu.cfs_period_us'],
        ];
    const answer = await build(
      ['FROM busybox', `RUN cd ${CGROUPS} && cat ${files.join(' ')}; grep _allowed_list /proc/self/status`],
      limits,
    );
    expect(answer.error).toBeUndefined();
    const memory = unified ? [64, 32] : [64, 96];
    const processors = unified ? ['20', '25000 50000'] : ['512', '25000', '50000'];
    const numbers = [...memory.map((mib) => String(mib * 1024 * 1024)), ...processors];
    expect(answer.output).toContain(lines('', ...numbers, 'Cpus_allowed_list:\t0', 'Mems_allowed_list:\t0'));
  });

  it('is killed when it takes more memory', async () => {
    const greedy = ['FROM busybox', 'RUN head -c 200000000 /dev/zero | tail'];
    const limits = { memory: String(32 * 1024 * 1024), memswap: String(32 * 1024 * 1024) };
    expect((await build(greedy, limits)).error).toMatch(
      /returned a non-zero code: 137|cannot allocate memory/,
    );
  });

  it('has the network that is asked for', async () => {
    const links = ['FROM busybox', 'RUN ip -o link | wc -l; readlink /proc/self/ns/net'];
    const own = readlinkSync('/proc/self/ns/net');
    const host = await build(links, { networkmode: 'host' });
    expect(host.output).toContain(`\n${own}\n`);
    const none = await build(links, { networkmode: 'none' });
    expect(none.output).toMatch(/\n1\nnet:\[\d+\]\n/);
    expect(none.output).not.toContain(own);
  });
});

it('is what its target stage is, with the labels that are asked for', async () => {
  const dockerfile = [
    'FROM busybox AS first',
    'LABEL at=first',
    'FROM first',
    'LABEL at=second',
    'RUN exit 9',
  ];
  const answer = await build(dockerfile, {
    target: 'first',
    labels: JSON.stringify({ more: '"x" $y' }),
    t: 'staged',
  });
  expect(answer.error).toBeUndefined();
  const { config } = (await worker.images.store.resolve(answer.id!)).config;
  expect(config?.Labels).toEqual({ at: 'first', more: '"x" $y' });
  expect((await worker.images.store.resolve('staged')).id).toBe(answer.id);
  expect((await build(dockerfile, { target: 'third' })).error).toContain('third');
});

it('builds for the platform that is asked for, if there is a base for it', async () => {
  const other = process.arch === 'x64' ? 'arm64' : 'amd64';
  const own = process.arch === 'x64' ? 'amd64' : 'arm64';
  const made = await build(['FROM scratch', 'COPY f /f'], { platform: `linux/${other}` }, { f: 'x' });
  expect((await worker.images.store.resolve(made.id!)).config.architecture).toBe(other);
  expect((await build(['FROM busybox', 'ENV A=1'], { platform: `linux/${own}` })).error).toBeUndefined();
  // What is here for one platform is not taken for another: it is pulled, which nobody can here.
  const missing = await build(['FROM busybox', 'ENV A=1'], { platform: `linux/${other}` });
  expect(missing.error).toContain('pull access denied for busybox');
});

it('pulls its base again when that is asked for', async () => {
  expect((await build(['FROM busybox', 'ENV A=1'], { pull: '1' })).error).toContain('pull access denied');
});

it('makes one image of two builds from nothing, with SOURCE_DATE_EPOCH', async () => {
  const dockerfile = [
    'FROM busybox',
    'ARG SOURCE_DATE_EPOCH',
    'ENV A=1',
    'COPY f /f',
    'WORKDIR /',
    'CMD ["x"]',
  ];
  const query = { buildargs: '{"SOURCE_DATE_EPOCH":"1700000000"}' };
  const first = await build(dockerfile, query, { f: 'dated' });
  await worker.prune();
  const second = await build(dockerfile, query, { f: 'dated' });
  expect(second.id).toBe(first.id);
  const { created, history } = (await worker.images.store.resolve(first.id!)).config;
  expect(created).toBe('2023-11-14T22:13:20Z');
  expect(history?.at(-1)?.created).toBe('2023-11-14T22:13:20Z');
});

it('refuses to squash layers, in so many words', async () => {
  expect(await build(['FROM busybox'], { squash: '1' })).toMatchObject({
    status: 400,
    error: 'squash is only supported with experimental mode',
  });
});

it.each([
  [{ extrahosts: 'one' }, /bad format for add-host/],
  [{ extrahosts: 'one:nowhere' }, /invalid IP address in add-host/],
  [{ ulimits: '[{}]' }, /ulimit/],
  [{ memory: 'much' }, /invalid value for memory/],
  [{ outputs: '[{"Type":"local"}]' }, /requires BuildKit/],
  [{ networkmode: 'container:x' }, /cannot join the network of a container/],
  [{ securityopt: 'x' }, /security options/],
])('refuses the query %j', async (query, message) => {
  expect(await build(['FROM busybox'], query)).toMatchObject({
    status: 400,
    error: expect.stringMatching(message),
  });
});

it('builds stages side by side, and shows them one after the other', async () => {
  // Answers when both have come.
  const waiting: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    waiting.push(response);
    if (waiting.length === 2) for (const one of waiting) one.end('both\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const meet = `wget -qO- http://127.0.0.1:${port}/ | tee`;
  try {
    const answer = await build(
      [
        ...['FROM busybox AS a', `RUN ${meet} /a`, 'FROM busybox AS b', `RUN ${meet} /b`],
        ...['FROM busybox', 'COPY --from=b /b /', 'COPY --from=a /a /', 'RUN cat /a /b'],
      ],
      { networkmode: 'host' },
    );
    expect(answer.error).toBeUndefined();
    expect(answer.output.match(/^(?:Step \d+\/\d+|both)/gm)).toEqual([
      ...['Step 1/8', 'Step 2/8', 'both', 'Step 3/8', 'Step 4/8', 'both'],
      ...['Step 5/8', 'Step 6/8', 'Step 7/8', 'Step 8/8', 'both', 'both'],
    ]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

it('understands what BuildKit’s COPY does', async () => {
  const files = { 'd/e/f': 'F', 'd/g': 'G', 'd/h': 'H' };
  const answer = await build(
    [
      'FROM busybox',
      'COPY --parents d/e/f /p/',
      'COPY --link --chmod=u=rwx,go= d/g /l/',
      'COPY --exclude=g --exclude=e d /x/',
      'RUN find /p /l /x -type f | sort; stat -c %a /l/g',
    ],
    {},
    files,
  );
  expect(answer.error).toBeUndefined();
  expect(answer.output).toContain('\n/l/g\n/p/d/e/f\n/x/h\n700\n');
});

it('shares its steps with BuildKit’s builds, both ways', async () => {
  const folder = join(worker.root, 'client');
  await mkdir(folder);
  const write = async (command: string) => {
    const dockerfile = lines('FROM busybox', 'COPY f /f', `RUN ${command}`);
    await writeFile(join(folder, 'Dockerfile'), dockerfile);
    await writeFile(join(folder, 'f'), 'x', { mode: 0o644 });
    return { Dockerfile: dockerfile, f: 'x' };
  };
  const classic = await worker.build(await write('date +%N > /n'));
  expect(classic.output).not.toContain('Using cache');
  expect(await cachedSteps('first', folder)).toEqual([true, true]);

  const files = await write('date +%N > /other');
  expect(await cachedSteps('second', folder)).toEqual([true, false]);
  expect((await worker.build(files)).output.match(/Using cache/g)).toHaveLength(2);
});

/** Builds a directory as buildx has it built: of COPY and RUN, whether the cache had it. */
async function cachedSteps(ref: string, root: string): Promise<boolean[]> {
  const session = new TestSession();
  for (const name of ['context', 'dockerfile']) session.directories.set(name, { root, id: `${ref} ${name}` });
  await worker.builds.builds.begin({
    ref,
    sessionId: session.id,
    session,
    frontend: 'dockerfile.v0',
    frontendOptions: {},
    frontendInputs: {},
    exporters: [],
    cacheExports: [],
    cacheImports: [],
    entitlements: [],
    internal: false,
  }).done;
  const { steps } = await worker.builds.catalog.find(ref);
  return ['COPY', 'RUN'].map((name) => steps.find((step) => step.name.includes(`] ${name} `))!.cached);
}
