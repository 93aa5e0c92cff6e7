import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuildWorker, startBuildWorker } from './build-worker.ts';

// Images that the steps of the classic builder leave.

let worker: BuildWorker;

beforeAll(async () => {
  worker = await startBuildWorker();
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
});

const NO_FILTERS = new Map<string, readonly string[]>();

/** IDs that a build has shown, without those of commands. */
const shown = (output: string) => [...output.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id]) => id!);

async function listed(all: boolean): Promise<string[]> {
  const images = await worker.images.lister.list({ all, filters: NO_FILTERS });
  return images.map(({ id }) => id.slice('sha256:'.length, 'sha256:'.length + 12));
}

const build = (lines: readonly string[], query: Record<string, string> = {}) =>
  worker.build({ Dockerfile: lines.join('\n'), file: 'text' }, query);

describe('a step', () => {
  it('leaves an image that is known by the ID it has shown, and is no other than its parent made it', async () => {
    const steps = ['ENV A=1', 'RUN echo made > /made', 'COPY file /', 'CMD ["cat", "/file"]'];
    const { output, id } = await build(['FROM busybox', ...steps], { t: 'stepped' });
    const ids = shown(output);
    expect(ids).toHaveLength(5);
    const images = await Promise.all(ids.map((one) => worker.images.details(one)));
    expect(images.slice(1).map(({ parent }) => parent)).toEqual(
      images.slice(0, -1).map(({ image }) => image.id),
    );
    expect(images.at(-1)!.image.id).toBe(id);
    const configs = images.map(({ image }) => image.config);
    expect(configs[1]!.config).toMatchObject({ Env: expect.arrayContaining(['A=1']) });
    expect(configs[1]!.rootfs.diff_ids).toEqual(configs[0]!.rootfs.diff_ids);
    expect(configs[2]!.history!.at(-1)!.created_by).toContain('echo made > /made');
    expect(configs[3]!.config?.Cmd).toEqual(configs[0]!.config?.Cmd);
    expect(await worker.sh(ids[2]!, 'cat /made; test -e /file || echo no file')).toBe('made\nno file\n');
    const history = await worker.images.history('stepped');
    expect(history.slice(0, 5).map((step) => step.id?.slice(7, 19))).toEqual(ids.toReversed());
  });

  it('is not listed but with all others, and goes with the image that came of it', async () => {
    const { output } = await build(['FROM busybox', 'RUN echo hidden > /a', 'ENV B=1'], { t: 'hidden' });
    const [, hidden, last] = shown(output);
    expect(await listed(false)).toContain(last);
    expect(await listed(false)).not.toContain(hidden);
    expect(await listed(true)).toContain(hidden);
    const { removals } = await worker.images.remover.remove('hidden', { pruneParents: true });
    expect(JSON.stringify(removals)).toContain(`"deleted":"sha256:${hidden}`);
    expect(await listed(true)).not.toContain(hidden);
    expect(await listed(true)).toContain(shown(output)[0]);
  });

  it('shows the same ID again when nothing has changed', async () => {
    const lines = ['FROM busybox', 'ENV C=1', 'RUN echo again > /a', 'LABEL d=1'];
    const first = await build(lines);
    const again = await build(lines);
    expect(again.output).toContain('Using cache');
    expect(shown(again.output)).toEqual(shown(first.output));
  });

  it('of another stage is an image as well', async () => {
    const { output } = await build([
      'FROM busybox AS a',
      'RUN echo stage > /a',
      'FROM scratch',
      'COPY --from=a /a /',
    ]);
    expect(await worker.sh(shown(output)[1]!, 'cat /a')).toBe('stage\n');
  });
});

describe('a build that fails', () => {
  it('leaves its last good step, to be looked into and built on, until images without a name are pruned', async () => {
    const { output, error } = await build(['FROM busybox', 'RUN echo good > /good', 'RUN cat /good; exit 3']);
    expect(error).toContain('returned a non-zero code: 3');
    const last = shown(output).at(-1)!;
    expect(await listed(false)).toContain(last);
    expect(await worker.sh(last, 'cat /good')).toBe('good\n');
    await worker.images.pruner.prune(NO_FILTERS);
    expect(await listed(true)).not.toContain(last);
    await expect(worker.images.details(last)).rejects.toMatchObject({ kind: 'not-found' });
  });
});
