import { expect, test } from 'vitest';
import { SlipwayError } from '#errors/errors.ts';
import { buildCases } from '../../../../dockerfiles/build-case.ts';
import { build, type FakeResult } from './fake-bridge.ts';
import { configOf, verticesOf } from './graph-text.ts';

const CASES = buildCases();

test('there are cases', () => {
  expect(CASES.length).toBeGreaterThanOrEqual(120);
});

// What changes here changes what is built: `vitest run -u` writes it anew, and a review says whether that is right.
test.each(CASES)('$name: $idea', async ({ name, files, options, fails }) => {
  const contents = files.map(({ directory, path, content }) => [`${directory}/${path}`, content]);
  const outcome = await build({ options, files: Object.fromEntries(contents) }).catch(
    (error: unknown) => error,
  );
  if (outcome instanceof Error) {
    expect(outcome).toBeInstanceOf(SlipwayError);
    expect(outcome.message).toContain(fails ?? 'it should not fail');
    return;
  }
  await expect(print(outcome as FakeResult)).toMatchFileSnapshot(`golden/${name}.txt`);
});

/** A graph as text: a vertex a paragraph, inputs by number. */
function print(result: FakeResult): string {
  const vertices = verticesOf(result.refs.get(''));
  const numbers = new Map(vertices.map((vertex, at) => [vertex.digest, at]));
  const graph = vertices.map(({ op, inputs, metadata, platform }, at) => {
    const from = inputs.map(({ vertex, output }) => `${numbers.get(vertex.digest)}.${output}`);
    const { progressGroup, ignoreCache } = metadata;
    const facts = { op, from, platform, progressGroup: progressGroup?.name, ignoreCache };
    return `${at} ${metadata.name}\n${yaml(facts, '  ')}`;
  });
  return [...graph, `configuration\n${yaml(configOf(result), '  ')}`, ...result.warnings, ''].join('\n');
}

/** Enough of YAML to be read. */
function yaml(value: unknown, indent: string): string {
  const entries = Object.entries(value as object).filter(
    ([, member]) => member !== undefined && !isEmpty(member),
  );
  return entries.map(([name, member]) => `${indent}${name}:${inline(member, indent)}`).join('\n');
}

/** Nothing is told of what has no members. */
function isEmpty(member: unknown): boolean {
  return typeof member === 'object' && member !== null && Object.keys(member).length === 0;
}

function inline(member: unknown, indent: string): string {
  if (member instanceof Uint8Array) return ` ${JSON.stringify(Buffer.from(member).toString())}`;
  if (typeof member === 'bigint') return ` ${member}`;
  if (typeof member !== 'object' || member === null) return ` ${JSON.stringify(member)}`;
  if (!Array.isArray(member)) return `\n${yaml(member, `${indent}  `)}`;
  if (member.every((item) => typeof item !== 'object')) return ` ${JSON.stringify(member)}`;
  return member.map((item) => `\n${indent}- ${yaml(item, `${indent}  `).trimStart()}`).join('');
}
