import { create, toBinary } from '@bufbuild/protobuf';
import {
  DefinitionSchema,
  OpSchema,
} from '#worker/buildkit/proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import { copy, definition, exec, file, mkfile, output, source, step } from '../graph.ts';
import type { LlbCase } from '../llb-case.ts';

const refused = (name: string, fails: string, graph: LlbCase['graph']): LlbCase => ({
  name: `refused/${name}`,
  fails,
  graph,
});

const scratch = undefined;
const given = () => file(scratch, mkfile('/a'));

export const refusedCases: readonly LlbCase[] = [
  refused('unknown-scheme', 'failed to load cache key: unknown scheme unknown: not found', () =>
    source('unknown://x'),
  ),
  refused('no-scheme', 'failed to parse x: invalid', () => source('x')),
  refused('image-reference', '', () => source('docker-image://UPPER/Case')),
  refused('empty-exec', 'failed to load LLB: invalid exec op with no meta', () =>
    step({ case: 'exec', value: {} }),
  ),
  refused('exec-without-root', 'failed to load LLB: invalid exec op with no rootfs', ({ busybox }) =>
    exec(busybox, 'true', { root: { dest: '/elsewhere' } }),
  ),
  refused('exec-without-arguments', 'failed to load LLB: invalid exec op with no args', ({ busybox }) =>
    exec(busybox, '', { meta: { args: [] } }),
  ),
  refused('file-without-actions', 'failed to load LLB: invalid file op with no actions', () =>
    step({ case: 'file', value: { actions: [] } }),
  ),
  refused('action-that-does-nothing', 'invalid action type <nil>', () =>
    step({ case: 'file', value: { actions: [{ input: -1n, secondaryInput: -1n, output: 0n }] } }),
  ),
  refused('input-beyond', 'invalid input index 7', () =>
    step({
      case: 'file',
      value: { actions: [{ ...made(), input: 7n }] },
    }),
  ),
  refused('output-beyond', '5', () => output(given(), 5)),
  refused('nothing-at-all', 'no support for <nil>', () => step({ case: undefined })),
  refused('no-such-step', `failed to load LLB: invalid missing input digest sha256:${'0'.repeat(64)}`, () => {
    const op = create(OpSchema, { inputs: [{ digest: `sha256:${'0'.repeat(64)}`, index: 0n }] });
    return toBinary(DefinitionSchema, create(DefinitionSchema, { def: [toBinary(OpSchema, op)] }));
  }),
  refused('garbage', 'failed to parse input: proto: Definition', () => Buffer.from('this is no definition')),
  refused('cut-short', 'failed to parse input: unexpected EOF', () => definition(given()).subarray(0, 40)),
  refused('copy-of-nothing', 'lstat /a: no such file or directory', () =>
    file(scratch, copy(scratch, '/a', '/b')),
  ),
];

function made() {
  const action = { case: 'mkfile', value: { path: '/a', mode: 0o644, timestamp: -1n } } as const;
  return { action, secondaryInput: -1n, output: 0n };
}
