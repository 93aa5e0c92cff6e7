import { expect, it } from 'vitest';
import { invalid } from '#errors/errors.ts';
import { SourceError } from '#worker/build/llb/source-error.ts';
import { vertex } from '#worker/build/llb/vertex.ts';
import { PolicyDenial } from '#worker/build/policy/policy-denial.ts';
import { buildError } from '#worker/buildkit/build-error.ts';

const detailsOf = (error: unknown) =>
  buildError(error).details.map(({ typeUrl, value }) => ({
    type: typeUrl.split('/').at(-1),
    value: JSON.parse(Buffer.from(value).toString()),
  }));

it('quotes the file that an error is about, and says where it was read from', () => {
  const source = vertex({ kind: 'source', identifier: 'local://dockerfile', attrs: {} }, [], {
    metadata: { name: 'load' },
  });
  const info = {
    filename: 'Dockerfile',
    data: Buffer.from('FROM x\n'),
    language: 'Dockerfile',
    edge: { vertex: source, output: 0 },
  };
  const ranges = [{ start: { line: 1, character: 0 }, end: { line: 1, character: 6 } }];
  const [detail] = detailsOf(new SourceError(invalid('what'), [{ info, ranges }]));
  expect(detail).toMatchObject({ type: 'errdefs.Source+json', value: { ranges } });
  expect(detail?.value.info.definition.def).toHaveLength(2);
});

it('says why a client’s own policy refused a source, however the error was wrapped', () => {
  const denial = new PolicyDenial('refused', ['use another']);
  const wrapped = invalid('failed to solve', { cause: denial });
  expect(detailsOf(wrapped)).toEqual([
    {
      type: 'policysession.DecisionResponse+json',
      value: { action: 'DENY', denyMessages: [{ message: 'use another' }] },
    },
  ]);
});
