import { expect, it } from 'vitest';
import type { BuildRecord } from '#worker/build/history/build-record.ts';
import { buildTrace } from '#worker/buildkit/build-trace.ts';

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds));

it('has a span of the build, and one of each step that was begun', () => {
  const record: BuildRecord = {
    ref: 'r1',
    frontend: 'dockerfile.v0',
    frontendOptions: {},
    exporters: [],
    createdAt: at(0),
    completedAt: at(9),
    error: { kind: 'internal', message: 'exit code: 1' },
    response: {},
    steps: [
      {
        digest: 'a',
        name: 'FROM x',
        startedAt: at(1),
        completedAt: at(2),
        duration: 1000,
        completed: true,
        cached: true,
      },
      {
        digest: 'b',
        name: 'RUN y',
        startedAt: at(3),
        duration: 6000,
        completed: false,
        cached: false,
        error: 'exit code: 1',
      },
      { digest: 'c', name: 'never', duration: 0, completed: false, cached: false },
    ],
    warnings: 0,
  };
  const spans = [...buildTrace(record)].map((line) => JSON.parse(Buffer.from(line).toString()));
  expect(
    spans.map(({ Name, StartTime, EndTime, Status }) => [Name, StartTime, EndTime, Status.Code]),
  ).toEqual([
    ['build', at(0).toISOString(), at(9).toISOString(), 'Error'],
    ['FROM x', at(1).toISOString(), at(2).toISOString(), 'Unset'],
    ['RUN y', at(3).toISOString(), at(9).toISOString(), 'Error'],
  ]);
  const [build, ...steps] = spans;
  expect(build.Parent).toMatchObject({ TraceID: '0'.repeat(32), SpanID: '0'.repeat(16) });
  for (const step of steps) expect(step.Parent).toEqual(build.SpanContext);
  expect(new Set(spans.map(({ SpanContext }) => SpanContext.SpanID)).size).toBe(3);
  expect(new Set(spans.map(({ SpanContext }) => SpanContext.TraceID)).size).toBe(1);
  expect(steps[0].Attributes).toContainEqual({ Key: 'cached', Value: { Type: 'BOOL', Value: true } });
});
