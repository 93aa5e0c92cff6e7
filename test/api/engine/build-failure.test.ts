// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what a Dockerfile has
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KernelMounter } from '#worker/snapshots/kernel-mounter.ts';
import { volatileMount } from '#worker/snapshots/mount-options.ts';
import { type BuildWorker, startBuildWorker } from './build-worker.ts';

let worker: BuildWorker;

beforeAll(async () => {
  worker = await startBuildWorker();
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
});

const lines = (...text: string[]) => `${text.join('\n')}\n`;
const build = (...dockerfile: string[]) =>
  worker.build({ Dockerfile: lines(...dockerfile) }, { nocache: '1' });

/** Everything that a build may leave behind; a network and a control group are kept for the next step. */
async function traces(): Promise<Record<string, unknown>> {
  const active: string[] = [];
  for await (const { key, kind } of worker.snapshotter.walk()) if (kind === 'active') active.push(key);
  const steps = join(worker.root, 'steps');
  return {
    active,
    mounts: await new KernelMounter().mountsBelow(worker.root),
    contexts: contextsInUse(),
    steps: (existsSync(steps) ? readdirSync(steps).filter((name) => name !== 'runc') : []).slice(1),
    containers: existsSync(join(steps, 'runc')) ? readdirSync(join(steps, 'runc')) : [],
    sandboxes: [...worker.sandboxes].slice(1),
  };
}

/** What is between builds has a note of what it is. */
function contextsInUse(): string[] {
  const contexts = join(worker.root, 'builds/contexts');
  return readdirSync(contexts).filter((id) => !existsSync(join(contexts, id, 'state.json')));
}

const nothing = { active: [], mounts: [], contexts: [], steps: [], containers: [], sandboxes: [] };

/** Files go behind the answer. */
const leftNothing = () => expect.poll(traces, { timeout: 60_000 }).toEqual(nothing);

const alive = (marker: string) =>
  execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith(`sleep ${marker}`)).length;

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

describe('a failing build', () => {
  it.each([
    [
      ['FROM busybox', '', 'FOO bar'],
      'dockerfile parse error on line 3: unknown instruction: FOO (did you mean FROM?)',
    ],
    [['RUN x'], 'no build stage in current context'],
    [[' '], 'the Dockerfile (Dockerfile) cannot be empty'],
  ])('answers %j with a status', async (dockerfile, message) => {
    expect(await build(...dockerfile)).toMatchObject({ status: 400, error: message, output: '' });
  });

  it.each([
    [['FROM busybox', 'RUN exit 7'], "The command '/bin/sh -c exit 7' returned a non-zero code: 7", 7],
    [['FROM busybox', 'RUN (sh -c "kill -9 \\$\\$"); exit $?'], 'returned a non-zero code: 137', 137],
    [['FROM busybox', 'RUN no-such-command'], 'returned a non-zero code: 127', 127],
    [
      ['FROM busybox', 'RUN ["/no/such"]'],
      'exec: "/no/such": stat /no/such: no such file or directory: unknown',
      undefined,
    ],
    [['FROM nowhere/nothing'], 'pull access denied for nowhere/nothing', undefined],
    [['FROM busybox', 'LABEL A="${B:?is missing}"'], 'B: is missing', undefined],
    [['FROM busybox', 'USER nobody-here', 'RUN true'], 'unable to find user nobody-here', undefined],
    [
      ['FROM busybox', 'RUN --mount=type=cache,target=/c true'],
      'the --mount option requires BuildKit',
      undefined,
    ],
    [['FROM busybox', 'EXPOSE 99999'], 'invalid containerPort: 99999', undefined],
  ])('tells of %j in the stream', async (dockerfile, message, code) => {
    const answer = await build(...dockerfile);
    expect(answer.error).toContain(message);
    expect(answer.status).toBe(200);
    expect(answer.lines.at(-1)?.errorDetail?.code).toBe(code);
    await leftNothing();
  });

  it.each([
    [{ t: 'UPPER' }, 400, /repository name .* must be lowercase/],
    [{ buildargs: 'x' }, 400, /buildargs/],
    [{ squash: '1' }, 400, /squash/],
    [{ platform: 'a/b/c/d' }, 400, /invalid platform/],
    [{ dockerfile: 'other' }, 400, /Cannot locate specified Dockerfile: other/],
    [{ version: '3' }, 400, /invalid version 3/],
  ])('refuses the query %j', async (query, status, message) => {
    const answer = await worker.build({ Dockerfile: 'FROM busybox\n' }, query);
    expect(answer).toMatchObject({ status, error: expect.stringMatching(message) });
  });
});

describe('a build whose client leaves', () => {
  it('ends its command and leaves nothing', async () => {
    const controller = new AbortController();
    const building = worker.build(
      { Dockerfile: lines('FROM busybox', 'RUN echo begun; (sleep 31337 &) ; sleep 31337') },
      {},
      { signal: controller.signal, onLine: (line) => line.stream?.includes('begun') && controller.abort() },
    );
    await expect(building).rejects.toThrow('abort');
    await until(() => alive('31337') === 0);
    await leftNothing();
  });

  it('ends while it still sends its context', async () => {
    const controller = new AbortController();
    const endless = (async function* () {
      for (;;) {
        yield Buffer.alloc(65_536);
        await sleep(5);
      }
    })();
    const building = worker.build({}, {}, { body: endless, signal: controller.signal });
    await until(() => contextsInUse().length > 0);
    controller.abort();
    await expect(building).rejects.toThrow('abort');
    await leftNothing();
  });

  it('can be ended by another request', async () => {
    const building = worker.build(
      { Dockerfile: lines('FROM busybox', 'RUN echo begun; sleep 31338') },
      { buildid: 'mine' },
      {
        onLine: (line) => {
          if (!line.stream?.includes('begun')) return;
          void fetch(`http://127.0.0.1:${worker.port}/build/cancel?id=mine`, { method: 'POST' });
        },
      },
    );
    expect((await building).error).toBe('Build cancelled');
    expect(alive('31338')).toBe(0);
    await leftNothing();
  });
});

it('builds many at once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, at) =>
      build('FROM busybox', `RUN echo ${at} > /n`, `COPY --from=busybox /etc/group /g`, 'RUN cat /n'),
    ),
  );
  expect(answers.map((answer) => answer.error)).toEqual(Array(6).fill(undefined));
  for (const [at, answer] of answers.entries()) expect(answer.output).toContain(`\n${at}\n`);
  await leftNothing();
});

it('sweeps up after a worker that was killed', async () => {
  const archive = join(worker.root, 'builds/contexts/dead');
  const mountPoint = join(worker.root, 'builds/drivers/mounts/dead');
  for (const directory of [join(archive, 'files'), mountPoint]) mkdirSync(directory, { recursive: true });
  const image = await worker.images.store.resolve('busybox');
  const mount = await worker.snapshotter.prepare('build-dead', image.snapshot);
  await new KernelMounter().mount(volatileMount(mount), mountPoint);
  expect(await traces()).not.toEqual(nothing);
  await worker.builds.reconcile();
  await leftNothing();
});
