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
