import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuildWorker, startBuildWorker } from './build-worker.ts';

let worker: BuildWorker;

beforeAll(async () => {
  worker = await startBuildWorker();
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
});

const lines = (...text: string[]) => `${text.join('\n')}\n`;

describe('a first build', () => {
  it('prints what the classic builder prints, and makes the image', async () => {
    const answer = await worker.build(
      {
        Dockerfile: lines(
          'FROM busybox',
          'ENV GREETING=hello',
          'WORKDIR /app',
          'COPY a.txt ./',
          'RUN echo "$GREETING from $(cat a.txt)" | tee out.txt; echo oops >&2',
          'CMD ["cat", "out.txt"]',
        ),
        'a.txt': 'file a',
      },
      { t: ['first', 'example.com/team/first:v1'] },
    );
    expect(answer.error).toBeUndefined();
    const normal = answer.output.replace(/[0-9a-f]{12}/g, 'ID');
    expect(normal).toBe(
      lines(
        'Step 1/6 : FROM busybox',
        ' ---> ID',
        'Step 2/6 : ENV GREETING=hello',
        ' ---> ID',
        'Step 3/6 : WORKDIR /app',
        ' ---> ID',
        'Step 4/6 : COPY a.txt ./',
        ' ---> ID',
        'Step 5/6 : RUN echo "$GREETING from $(cat a.txt)" | tee out.txt; echo oops >&2',
        ' ---> Running in ID',
        'hello from file a',
        '\u001b[91moops',
        '\u001b[0m ---> Removed intermediate container ID',
        ' ---> ID',
        'Step 6/6 : CMD ["cat", "out.txt"]',
        ' ---> ID',
        'Successfully built ID',
        'Successfully tagged first:latest',
        'Successfully tagged example.com/team/first:v1',
      ),
    );
    const image = await worker.images.store.resolve('first');
    expect(image.id).toBe(answer.id);
    expect(image.config.config).toMatchObject({ Cmd: ['cat', 'out.txt'], WorkingDir: '/app' });
    expect(image.config.config?.Env).toContain('GREETING=hello');
    expect(await worker.sh('first', 'cat out.txt; ls -l a.txt')).toMatch(
      /^hello from file a\n-rw-r--r-- +1 root +root +6 Nov 14 +2023 a.txt\n$/,
    );
  });
});
