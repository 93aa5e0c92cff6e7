import { expect, test } from 'vitest';
import { isKind } from '#errors/errors.ts';
import { build } from './fake-bridge.ts';
import { configOf, names } from './graph-text.ts';

const times = (count: number, line: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => line(at)).join('\n');

test('thousands of instructions and of stages are no deeper a stack', async () => {
  const long = await build({ dockerfile: `FROM busybox\n${times(5000, (at) => `RUN ${at}`)}\n` });
  expect(names(long)).toHaveLength(5001);
  const stages = times(3000, (at) => `FROM ${at === 0 ? 'busybox' : `s${at - 1}`} AS s${at}\nRUN ${at}`);
  expect(names(await build({ dockerfile: `${stages}\n` }))).toHaveLength(3001);
});

test('more is refused', async () => {
  const failing = build({ dockerfile: `FROM busybox\n${times(10_001, () => 'RUN x')}\n` });
  await expect(failing).rejects.toThrow('more than 10000 instructions');
});

test('a history that no image could have is refused', async () => {
  const dockerfile = `FROM busybox\nENV A=${'x'.repeat(60_000)}\n${times(300, () => 'LABEL a=$A')}\n`;
  await expect(build({ dockerfile })).rejects.toSatisfy((error) => isKind(error, 'too-large'));
});

test('a trigger of a trigger waits for the next image', async () => {
  const image = { config: { OnBuild: ['ONBUILD RUN x'] } };
  const result = await build({ dockerfile: 'FROM odd\n', images: { 'docker.io/library/odd:latest': image } });
  expect(names(result)).toHaveLength(1);
  expect(configOf(result).config?.OnBuild).toEqual(['RUN x']);
});

test('a trigger may not be a stage or two instructions', async () => {
  for (const trigger of ['FROM busybox', 'RUN a\nRUN b', '']) {
    const image = { config: { OnBuild: [trigger] } };
    const failing = build({ dockerfile: 'FROM evil\n', images: { 'docker.io/library/evil:latest': image } });
    await expect(failing).rejects.toSatisfy((error) => isKind(error, 'invalid'));
  }
});

test('a configuration that is none', async () => {
  const image = { config: { Env: 'PATH' as unknown as string[] } };
  const failing = build({ dockerfile: 'FROM evil\n', images: { 'docker.io/library/evil:latest': image } });
  await expect(failing).rejects.toSatisfy((error) => isKind(error, 'invalid'));
});

test('names of the language are names like others', async () => {
  const result = await build({
    dockerfile:
      'FROM busybox AS constructor\nARG __proto__=1\nENV toString=2 __proto__=3\nRUN x $__proto__\n',
    options: { 'build-arg:hasOwnProperty': '1' },
  });
  expect(names(result).at(-1)).toBe(
    '[2/2] RUN x 3'.replace('[', '[constructor ').replace('constructor ', ''),
  );
});

test.each([
  ['a stage that copies from itself', 'FROM busybox AS a\nCOPY --from=a /x /\n'],
  [
    'stages that copy from each other',
    'FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /\n',
  ],
  ['a stage that mounts itself', 'FROM busybox AS a\nRUN --mount=from=a,target=/x true\n'],
])('%s is refused', async (_what, dockerfile) => {
  await expect(build({ dockerfile })).rejects.toThrow(/circular dependency|not found|invalid from flag/);
});

test('a trigger that copies from its own stage has what was there before it', async () => {
  const images = { 'docker.io/library/odd:latest': { config: { OnBuild: ['COPY --from=a /x /'] } } };
  const result = await build({ dockerfile: 'FROM odd AS a\n', images });
  expect(names(result).map((name) => name.replace(/@sha256:.*/, ''))).toEqual([
    '[1/1] FROM docker.io/library/odd:latest',
    '[2/2] ONBUILD COPY --from=a /x /',
  ]);
});

test('contexts that are named after each other are looked up once', async () => {
  const options = {
    'context:a': 'docker-image://b',
    'context:b': 'docker-image://a',
    'context:busybox': 'docker-image://busybox',
  };
  const images = {
    'docker.io/library/a:latest': { config: { User: 'a' } },
    'docker.io/library/b:latest': { config: { User: 'b' } },
  };
  const result = await build({
    dockerfile: 'FROM a\nCOPY --from=b /x /\nCOPY --from=busybox /y /\n',
    options,
    images,
  });
  expect(configOf(result).config?.User).toBe('b');
  expect(result.resolved.length).toBeLessThanOrEqual(3);
});

test('lines of nearly 64 KiB are lines; longer ones are refused', async () => {
  const long = 'x'.repeat(65_000);
  const lines = [
    'FROM busybox',
    `# ${long}`,
    `ENV A=${long}`,
    `RUN echo ${long} \\`,
    `  ${long}`,
    'RUN <<E',
    long,
    'E',
  ];
  const result = await build({ dockerfile: `${lines.join('\n')}\n` });
  expect(names(result)).toHaveLength(3);
  expect(configOf(result).config?.Env).toContain(`A=${long}`);
  const failing = build({ dockerfile: `FROM busybox\nENV A=${long}${long}\n` });
  await expect(failing).rejects.toThrow('line greater than max allowed size of 65535');
});

test('heredocs within heredocs are text', async () => {
  const inner = Array.from({ length: 500 }, (_, at) => `<<E${at}`).join('\n');
  const result = await build({ dockerfile: `FROM busybox\nRUN <<OUT\n${inner}\nOUT\n` });
  expect(names(result)).toHaveLength(2);
  await expect(build({ dockerfile: `FROM busybox\nRUN <<OUT\n${inner}\n` })).rejects.toThrow('heredoc');
});
