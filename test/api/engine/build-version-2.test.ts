import { setTimeout as sleep } from 'node:timers/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StatusResponseSchema } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import {
  type BuildAnswer,
  type BuildWorker,
  contextOf,
  type Files,
  post,
  startBuildWorker,
} from './build-worker.ts';

/** `POST /build?version=2`: BuildKit for clients that have no buildx. With a session: test/e2e/old-cli-build.test.ts. */

let worker: BuildWorker;

beforeAll(async () => {
  worker = await startBuildWorker();
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
});

const lines = (...text: string[]) => `${text.join('\n')}\n`;
const build = (dockerfile: string[], query: Record<string, string | string[]> = {}, files: Files = {}) =>
  worker.build({ Dockerfile: lines(...dockerfile), ...files }, { version: '2', ...query });

/** The steps that a client is told of, and what they wrote. */
function told(answer: BuildAnswer): { names: string[]; output: string } {
  const responses = (answer.lines as readonly { id?: string; aux?: unknown }[])
    .filter(({ id }) => id === 'moby.buildkit.trace')
    .map(({ aux }) => fromBinary(StatusResponseSchema, Buffer.from(aux as string, 'base64')));
  return {
    names: [...new Set(responses.flatMap(({ vertexes }) => vertexes.map(({ name }) => name)))],
    output: responses.flatMap(({ logs }) => logs.map(({ msg }) => Buffer.from(msg).toString())).join(''),
  };
}

/** Of the image, as BuildKit's clients hear it. */
function imageOf(answer: BuildAnswer): string | undefined {
  const [made] = (answer.lines as readonly { id?: string; aux: { ID: string } }[]).filter(
    ({ id }) => id === 'moby.image.id',
  );
  return made?.aux.ID;
}

describe('a build without a session', () => {
  it('makes an image of the archive that is its body', async () => {
    const dockerfile = [
      ...['FROM busybox', 'ARG A', 'RUN --mount=type=tmpfs,target=/t echo given $A', 'COPY f /f'],
      'LABEL own=1',
    ];
    const query = { t: ['two:1', 'two:2'], buildargs: '{"A":"x"}', labels: '{"asked":"2"}' };
    const answer = await build(dockerfile, query, { f: 'F' });
    expect(answer.error).toBeUndefined();
    expect(told(answer).names).toContain('[stage-0 3/3] COPY f /f');
    expect(told(answer).output).toBe('given x\n');
    const { image } = await worker.images.store.lookUp('two:2');
    expect(image.id).toBe(imageOf(answer));
    expect(image.config.config?.Labels).toEqual({ own: '1', asked: '2' });
    expect(await worker.sh('two:1', 'cat /f')).toBe('F');
  });

  it('makes nothing where that is asked for', async () => {
    const before = await worker.images.lister.count();
    const answer = await build(['FROM busybox', 'RUN true'], { outputs: '[{"Type":"cacheonly"}]' });
    expect(answer.error).toBeUndefined();
    expect(imageOf(answer)).toBeUndefined();
    expect(await worker.images.lister.count()).toBe(before);
  });

  it('fails with what its client has been told before', async () => {
    const answer = await build(['FROM busybox', 'RUN echo first; exit 5']);
    expect(answer.error).toBe(
      'process "/bin/sh -c echo first; exit 5" did not complete successfully: exit code: 5',
    );
    expect(told(answer).output).toBe('first\n');
  });

  it('has limits, hosts and the network that are asked for', async () => {
    const answer = await build(
      ['FROM busybox', 'RUN grep -h one /etc/hosts; df -k /dev/shm | tail -1; ulimit -n'],
      {
        extrahosts: ['one:192.0.2.1', 'two:host-gateway'],
        shmsize: String(1024 * 1024),
        ulimits: JSON.stringify([{ Name: 'nofile', Soft: 77, Hard: 77 }]),
        networkmode: 'none',
      },
    );
    expect(answer.error).toBeUndefined();
    expect(told(answer).output).toMatch(/192\.0\.2\.1\tone\nshm +1024 .*\n77\n/);
  });

  it('ends when it is cancelled by its id', async () => {
    const started = Promise.withResolvers<void>();
    const building = worker.build(
      { Dockerfile: 'FROM busybox\nRUN echo begun; sleep 1000\n' },
      { version: '2', buildid: 'mine' },
      { onLine: (line) => told({ lines: [line] } as never).output.includes('begun') && started.resolve() },
    );
    await Promise.race([started.promise, building]);
    await post(worker.port, '/v1.41/build/cancel?id=mine', []).catch(() => undefined);
    expect((await building).error).toBe('context canceled');
  });
});

it('takes its context from a request of its own, whichever comes first', async () => {
  for (const order of [0, 50]) {
    const id = `upload${order}`;
    const files = contextOf({ Dockerfile: 'FROM busybox\nCOPY f /\n', f: id });
    const uploading = sleep(order).then(() =>
      post(worker.port, `/v1.41/build?version=2&buildid=upload-request:${id}`, files),
    );
    const query = { version: '2', remote: 'upload-request', buildid: id, t: id };
    const answer = await worker.build({}, query, { body: contextOf({}) });
    expect(answer.error).toBeUndefined();
    expect((await uploading).status).toBe(200);
    expect(await worker.sh(id, 'cat /f')).toBe(id);
  }
});

it.each([
  [{ version: '3' }, /invalid version 3/],
  [{ networkmode: 'some' }, /network mode "some" not supported by buildkit/],
  [{ outputs: '[{"Type":"image"},{"Type":"tar"}]' }, /multiple outputs not supported/],
  [{ outputs: '{}' }, /error reading build outputs/],
  [{ outputs: '[{"Attrs":{}}]' }, /error reading build outputs/],
  [{ squash: '1' }, /squash is only supported with experimental mode/],
  [{ remote: 'client-session' }, /without a session/],
])('refuses the query %j', async (query, message) => {
  expect(await build(['FROM busybox'], query)).toMatchObject({
    status: 400,
    error: expect.stringMatching(message),
  });
});
