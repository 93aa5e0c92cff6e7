import { expect, it } from 'vitest';
import { PlainProgress } from '#cli/build/plain-progress.ts';
import { TerminalProgress } from '#cli/build/terminal-progress.ts';
import { TimeReport } from '#cli/build/time-report.ts';
import type { ProgressSink, VertexEvent } from '#worker/build/solve/progress.ts';

const at = (milliseconds: number) => new Date(1_700_000_000_000 + milliseconds);
const context = { digest: 'context', inputs: [], name: '[internal] load build context', cached: false };
const copy = { digest: 'copy', inputs: ['context'], name: '[1/2] COPY . .', cached: false };
const make = { digest: 'make', inputs: ['copy'], name: '[2/2] RUN make\x1b[2J', cached: false };
const log = (vertex: string, text: string, time: number) => ({
  vertex,
  stream: 'stdout' as const,
  data: Buffer.from(text),
  timestamp: at(time),
});

/** A build whose context is known before it is here, and whose second step fails. */
async function tell(sink: ProgressSink, error?: string): Promise<void> {
  const over = (event: VertexEvent, from: number, to: number, more: Partial<VertexEvent> = {}) => {
    sink.vertex({ ...event, started: at(from) });
    sink.vertex({ ...event, started: at(from), completed: at(to), ...more });
  };
  for (const event of [context, copy, make]) sink.vertex(event);
  over(context, 0, 0);
  sink.vertex({ ...context, started: at(10) });
  sink.status({
    vertex: 'context',
    id: 'transferring context:',
    name: 'transferring',
    current: 1_234_567,
    total: 0,
    timestamp: at(1500),
    started: at(10),
    completed: at(1510),
  });
  sink.vertex({ ...context, started: at(10), completed: at(1510) });
  over(copy, 1600, 1600, { cached: true });
  sink.vertex({ ...make, started: at(2000) });
  await sink.log(log('make', 'compil', 2100));
  await sink.log(log('make', 'ing\nlinking \x1b[31mred', 2250));
  over(make, 2000, 5000, error === undefined ? {} : { error });
}

it('is printed as lines, each step under its name and number', async () => {
  let text = '';
  {
    using plain = new PlainProgress((more) => {
      text += more;
    });
    await tell(plain, 'exit code: 1');
  }
  expect(text).toBe(`#1 [internal] load build context
#1 transferring context: 1.23MB 1.5s done
#1 DONE 1.5s

#2 [1/2] COPY . .
#2 CACHED

#3 [2/2] RUN make?[2J
#3 0.250 compiling
${text.split('\n').find((line) => line.endsWith('linking ?[31mred'))}
#3 ERROR: exit code: 1

`);
});

it('fits a terminal, whatever steps write', async () => {
  let text = '';
  const write = (more: string) => {
    text += more;
  };
  const screen = { columns: 40, rows: 10, write };
  {
    using terminal = new TerminalProgress(screen);
    await tell(terminal, 'exit code: 1');
  }
  const lines = text.trimEnd().split('\n');
  expect(lines.every((line) => line.length < 40)).toBe(true);
  expect(lines[0]).toMatch(/^\[\+\] Building .* \(3\/3\)$/);
  expect(text).toMatch(/^ => CACHED \[1\/2\] COPY \. \. +0\.0s$/m);
  expect(text).toContain('ERROR [2/2] RUN make');
  expect(text).toContain(' => => # linking red');
});

it('is added up to where the time went', async () => {
  const report = new TimeReport();
  expect(report.text(new Map())).toBe('');
  await tell(report);
  const [head, ...rows] = report
    .text(new Map([['make', 'the command changed']]))
    .trimEnd()
    .split('\n');
  expect(head).toMatch(/^Where the time went: .*, 1 of 2 steps cached$/);
  expect(rows).toEqual([
    '     3.0s  [2/2] RUN make?[2J',
    '           the command changed',
    '     1.5s  [internal] load build context: 1.23MB sent',
  ]);
});
