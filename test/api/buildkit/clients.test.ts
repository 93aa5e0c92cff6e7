import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { invalid } from '#errors/errors.ts';
import type { FrontendResult } from '#worker/build/frontend/frontend.ts';
import { SourceError } from '#worker/build/llb/source-error.ts';
import type { DirectoryRequest } from '#worker/build/session/build-session.ts';
import { startBuildkitWorker } from './buildkit-worker.ts';
import { type Clients, createClients } from './clients.ts';
import type { ScriptedBuild } from './scripted-builds.ts';

const NOTHING: FrontendResult = { refs: new Map([['', undefined]]), metadata: new Map() };
const VERTEX = `sha256:${'a'.repeat(64)}`;

/** Of the agent's protocol (draft-miller-ssh-agent): SSH_AGENTC_REQUEST_IDENTITIES, and an answer to it. */
const LIST_KEYS = Buffer.from([0, 0, 0, 1, 11]);
const NO_KEYS = Buffer.from([0, 0, 0, 5, 12, 0, 0, 0, 0]);

let worker: Awaited<ReturnType<typeof startBuildkitWorker>>;
let clients: Clients;
let context: string;

beforeAll(async () => {
  worker = await startBuildkitWorker();
  clients = createClients(worker.engine);
  const created = await clients.buildx(['create', '--name', 'remote', '--driver', 'remote', worker.address]);
  expect(created).toSucceed();
  context = join(worker.folder, 'context');
  mkdirSync(join(context, 'sub'), { recursive: true });
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY nothing /\n');
  writeFileSync(join(context, 'sub', 'file'), 'contents');
  writeFileSync(join(context, 'large'), Buffer.alloc(3_000_000, 7));
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await worker?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  worker.builds.script = {};
});

const drivers = [
  ['remote', ['--builder', 'remote']],
  ['docker', ['--builder', 'default']],
] as const;

/** The context of a build, as a source would fetch it. */
async function fetchContext(build: ScriptedBuild, request: Partial<DirectoryRequest> = {}) {
  const session = await build.session();
  const progress = {
    vertex: VERTEX,
    sink: { status: (event: never) => build.tell((sink) => sink.status(event)) },
  };
  const patterns = { includePatterns: [], excludePatterns: [], followPaths: [] };
  return session.directory({ name: 'context', ...patterns, progress, ...request }, { signal: build.signal });
}

describe.each(drivers)('buildx with driver %s', (_driver, builder) => {
  const build = (...args: string[]) =>
    clients.buildx(['build', ...builder, '--progress', 'plain', ...args, context]);

  it('inspects the worker', async () => {
    const { code, stdout } = await clients.buildx(['inspect', '--bootstrap', builder[1]]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Status:\s+running/);
    expect(stdout).toMatch(/BuildKit version:\s+v0\.25\.2/);
  });

  it('shows what goes on and hands over files and secrets', async () => {
    const found: unknown[] = [];
    const secret = join(worker.folder, 'secret');
    writeFileSync(secret, 'hush');
    worker.builds.script = {
      async frontend(request, running) {
        const started = new Date();
        const vertex = {
          digest: VERTEX,
          inputs: [],
          name: '[internal] load build context',
          cached: false,
          started,
        };
        running.tell((sink) => sink.vertex(vertex));
        await using directory = await fetchContext(running, { excludePatterns: ['large'] });
        const session = await running.session();
        const hushed = await session.secret('token', { signal: running.signal });
        found.push(
          readdirSync(directory.root),
          Buffer.from(hushed).toString(),
          request.options['build-arg:X'],
        );
        found.push(session.secret('other', { signal: running.signal }).catch(String));
        await Promise.all(found);
        running.tell((sink) =>
          sink.log({
            vertex: VERTEX,
            stream: 'stdout',
            data: Buffer.from('a line\n'),
            timestamp: new Date(),
          }),
        );
        running.tell((sink) => sink.vertex({ ...vertex, completed: new Date() }));
        return NOTHING;
      },
    };
    const { code, stderr } = await build('--secret', `id=token,src=${secret}`, '--build-arg', 'X=1');
    expect(stderr).toMatch(/#\d+ \[internal\] load build context/);
    expect(stderr).toMatch(/#\d+ transferring context: [\d.]+k?B/);
    expect(stderr).toMatch(/#\d+ [\d.]+ a line\n/);
    expect(code).toBe(0);
    expect(await Promise.all(found)).toEqual([
      ['Dockerfile', 'sub'],
      'hush',
      '1',
      expect.stringContaining('secret other: not found'),
    ]);
  });

  it('sends an unchanged context as a list of files alone', async () => {
    const seen: { id: string; bytes: number }[] = [];
    worker.builds.script = {
      async frontend(_request, running) {
        let bytes = 0;
        const sink = {
          status: ({ current }: { current: number }) => {
            bytes = current;
          },
        };
        const progress = { vertex: VERTEX, sink: sink as never };
        await using directory = await fetchContext(running, {
          name: 'context',
          sharedKeyHint: builder[1],
          progress,
        });
        seen.push({ id: directory.id, bytes });
        expect(statSync(join(directory.root, 'large')).size).toBe(3_000_000);
        return NOTHING;
      },
    };
    for (let time = 0; time < 2; time++) expect(await build()).toSucceed();
    expect(seen[0]!.bytes).toBeGreaterThan(3_000_000);
    expect(seen[1]!.bytes).toBeLessThan(1_000);
    expect(seen[1]!.id).toBe(seen[0]!.id);
  });

  it('quotes the lines of the Dockerfile that an error is about', async () => {
    worker.builds.script = {
      async frontend() {
        const data = readFileSync(join(context, 'Dockerfile'));
        const at = { line: 2, character: 0 };
        const info = { filename: 'Dockerfile', data, language: 'Dockerfile' };
        throw new SourceError(invalid('"/nothing": not found'), [{ info, ranges: [{ start: at, end: at }] }]);
      },
    };
    const { code, stderr } = await build();
    expect(code).toBe(1);
    expect(stderr).toContain(
      'Dockerfile:2\n--------------------\n   1 |     FROM scratch\n   2 | >>> COPY nothing /\n',
    );
    expect(stderr).toContain('ERROR: failed to build: failed to solve: "/nothing": not found\n');
  });

  it('gets a directory and a file as outputs', async () => {
    worker.builds.script = {
      frontend: async () => NOTHING,
      async export(_result, running) {
        const session = await running.session();
        const { signal } = running;
        const [exporter] = running.request.exporters;
        // buildx asks what we can do in a build of its own.
        if (!exporter) return {};
        if (exporter.type === 'local') {
          await session.sendDirectory(0, [{ root: context, name: 'files' }], {
            signal,
            mtime: new Date(1_000_000_000_000),
          });
          return {};
        }
        await using target = await session.sendFile(0, {}, { signal });
        for (let count = 0; count < 10; count++) await target.write(Buffer.alloc(1_000_000, count));
        await target.finish();
        return {};
      },
    };
    const out = join(worker.folder, `out-${builder[1]}`);
    const local = await build('--output', `type=local,dest=${out}`);
    expect(local.stderr).not.toContain('ERROR');
    expect(local).toSucceed();
    expect(readFileSync(join(out, 'sub', 'file'), 'utf8')).toBe('contents');
    expect(readFileSync(join(out, 'large')).equals(readFileSync(join(context, 'large')))).toBe(true);
    expect(statSync(join(out, 'sub', 'file')).mtimeMs).toBe(1_000_000_000_000);
    expect(await build('--output', `type=tar,dest=${out}.tar`)).toSucceed();
    const bytes = readFileSync(`${out}.tar`);
    expect([bytes.length, bytes[0], bytes.at(-1)]).toEqual([10_000_000, 0, 9]);
  });

  it('forwards an agent and says whose registry it knows', async () => {
    const socket = join(worker.folder, `agent-${builder[1]}`);
    await using agent = createServer((connection) => {
      connection.on('error', () => {});
      connection.on('data', () => connection.write(NO_KEYS));
    }).listen(socket);
    await once(agent, 'listening');
    writeFileSync(
      join(clients.folder, 'config.json'),
      JSON.stringify({ auths: { 'r.example': { auth: Buffer.from('ada:pw').toString('base64') } } }),
    );
    const found: unknown[] = [];
    worker.builds.script = {
      async frontend(_request, running) {
        const { signal } = running;
        const session = await running.session();
        found.push(await session.credentials('r.example', { signal }));
        found.push(await session.credentials('other.example', { signal }));
        const options = { directory: worker.folder, uid: 0, gid: 0, mode: 0o600, signal };
        await using forwarded = await session.agent('default', options);
        const connection = connect(forwarded.path);
        connection.write(LIST_KEYS);
        // buildx answers with the length, and then with the rest.
        let answer = Buffer.alloc(0);
        for await (const piece of connection) {
          answer = Buffer.concat([answer, piece]);
          if (answer.length >= NO_KEYS.length) break;
        }
        connection.end();
        found.push(answer.equals(NO_KEYS));
        await session.agent('absent', options).catch((error) => found.push(error.kind));
        return NOTHING;
      },
    };
    expect(await build('--ssh', `default=${socket}`)).toSucceed();
    expect(found).toEqual([{ username: 'ada', secret: 'pw' }, undefined, true, 'not-found']);
  });

  it('cancels its build when it goes away', async () => {
    const begun = Promise.withResolvers<ScriptedBuild>();
    worker.builds.script = {
      async frontend(_request, running) {
        await running.session();
        begun.resolve(running);
        return new Promise<never>(() => {});
      },
    };
    const killed = new AbortController();
    const client = clients
      .buildx(['build', ...builder, '--progress', 'plain', context], { signal: killed.signal })
      .catch(() => {});
    const running = await begun.promise;
    const session = await running.session();
    killed.abort();
    await client;
    if (!running.signal.aborted) await once(running.signal, 'abort');
    if (!session.closed.aborted) await once(session.closed, 'abort');
    await expect(running.done).rejects.toThrow('context canceled');
    await expect(session.secret('x', { signal: AbortSignal.timeout(5_000) })).rejects.toThrow('is gone');
  });
});

describe('what is kept', () => {
  it('is listed and removed', async () => {
    worker.builds.script = {
      async frontend(_request, running) {
        await using _directory = await fetchContext(running, { sharedKeyHint: 'kept' });
        return NOTHING;
      },
    };
    const args = ['--builder', 'remote'];
    await clients.buildx(['build', ...args, context]);
    const local = (text: string) => text.split('\n').filter((line) => line.includes('source.local')).length;
    const before = await clients.buildx(['du', ...args, '--verbose', '--filter', 'type=source.local']);
    expect(local(before.stdout)).toBeGreaterThan(0);
    const pruned = await clients.buildx(['prune', ...args, '--force', '--filter', 'type=source.local']);
    expect(pruned).toMatchObject({ code: 0, stdout: expect.stringMatching(/Total:\s+\d+MB/) });
    expect((await clients.buildx(['du', ...args])).stdout).toMatch(/Total:\s+0B/);
  });

  it('can be looked at as history', async () => {
    const record = {
      ref: 'past',
      frontend: '',
      frontendOptions: {},
      exporters: [],
      createdAt: new Date(),
      response: {},
      steps: [],
      warnings: 0,
    };
    await worker.history.begun(record);
    const log = worker.history.openLog('past');
    const times = { started: new Date(), completed: new Date() };
    log.vertex({ digest: VERTEX, inputs: [], name: 'a step of the past', cached: false, ...times });
    log.end();
    await worker.history.ended({ ...record, completedAt: new Date() }, { logBytes: await log.keep() });
    await log.close({ keep: true });
    const history = (...args: string[]) => clients.buildx(['history', ...args, '--builder', 'remote']);
    expect((await history('ls')).stdout).toMatch(/past\s.*Completed/);
    expect((await history('logs', 'past')).stderr).toContain('a step of the past');
    expect(await history('rm', 'past')).toSucceed();
    expect((await history('ls')).stdout).not.toContain('past');
  });
});

describe('buildctl', () => {
  const buildctl = (...args: string[]) => clients.buildctl(worker.address, args);

  it('lists the worker', async () => {
    expect(await buildctl('debug', 'workers')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('linux/'),
    });
  });

  it('has a frontend run, and refuses one that is an image', async () => {
    worker.builds.script = { frontend: async () => NOTHING };
    const args = ['build', '--progress', 'plain', '--local', `context=${context}`, '--frontend'];
    expect(await buildctl(...args, 'dockerfile.v0')).toSucceed();
    const dockerfile = ['gateway.v0', '--opt', 'source=docker/dockerfile:1.9'];
    expect(await buildctl(...args, ...dockerfile)).toSucceed();
    const foreign = await buildctl(...args, 'gateway.v0', '--opt', 'source=example/other');
    expect(foreign).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('example/other is no version of docker/dockerfile'),
    });
  });
});
