import { expect, it } from 'vitest';
import { readStatement, scannerEdge } from '#worker/build/attest/sbom/scanner.ts';
import { vertex } from '#worker/build/llb/vertex.ts';

const platform = { os: 'linux', architecture: 'amd64' };
const scanner = (config: object) => ({
  reference: `docker.io/library/scanner@sha256:${'a'.repeat(64)}`,
  config: Buffer.from(JSON.stringify({ ...platform, config, rootfs: { type: 'layers', diff_ids: [] } })),
  platform,
  parameters: { WHO: 'me' },
});
const edge = (name: string) => ({
  vertex: vertex({ kind: 'source', identifier: `local://${name}`, attrs: {} }, [], { metadata: { name } }),
  output: 0,
});

it('a scanner reads what it lists, writes beside it, and changes neither', () => {
  const targets = { core: edge('core'), extras: new Map([['context', edge('context')]]) };
  const { vertex: run, output } = scannerEdge(
    scanner({ Entrypoint: ['/scan'], Cmd: ['all'], Env: ['A=b'], WorkingDir: '/work' }),
    targets,
    'linux/amd64',
  );
  expect(run.op).toMatchObject({
    args: ['/scan', 'all'],
    cwd: '/work',
    env: [
      'A=b',
      'BUILDKIT_SCAN_DESTINATION=/run/out/',
      'BUILDKIT_SCAN_SOURCE=/run/src/core/sbom',
      'BUILDKIT_SCAN_SOURCE_EXTRAS=/run/src/extras/',
      'BUILDKIT_SCAN_WHO=me',
    ],
    mounts: [
      { dest: '/', input: 0, output: 0 },
      { dest: '/tmp', type: 'tmpfs' },
      { dest: '/run/src/core/sbom', input: 1, readonly: true },
      { dest: '/run/src/extras/sbom-context', input: 2, readonly: true },
      { dest: '/run/out/', output: 1 },
    ],
  });
  expect(output).toBe(1);
});

it('a scanner without a command is refused', () => {
  expect(() => scannerEdge(scanner({}), { core: undefined, extras: new Map() }, 'x')).toThrow(
    'does not have cmd',
  );
});

it.each([
  ['no JSON', 'cannot decode in-toto statement a.json'],
  ['null', 'does not match required predicate type'],
  ['{"predicateType":"https://example.com/other","predicate":{}}', 'does not match required predicate type'],
])('a scanner that writes %s is refused', (text, message) => {
  expect(() => readStatement('a.json', Buffer.from(text))).toThrow(message);
});
