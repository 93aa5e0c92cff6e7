import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LogEntry, LogFile, type LogReadOptions } from '#worker/logs/log-file.ts';

type Stream = 'stdout' | 'stderr';

const time = (second: number) =>
  `2026-05-01T00:${String(Math.floor(second / 60)).padStart(2, '0')}:${String(second % 60).padStart(2, '0')}.123456789`;
const record = (second: number, stream: Stream, tag: 'F' | 'P', content: string | Buffer) =>
  Buffer.concat([
    Buffer.from(`${time(second)}+00:00 ${stream} ${tag} `),
    Buffer.from(content),
    Buffer.from('\n'),
  ]);

/** As conmon splits what it reads, in chunks of up to 8 KiB. */
function recordsOf(chunks: { stream: Stream; bytes: Uint8Array }[]): Buffer {
  const records: Buffer[] = [];
  for (const { stream, bytes } of chunks) {
    const chunk = Buffer.from(bytes);
    for (let start = 0; start < chunk.length; ) {
      const newline = chunk.indexOf(10, start);
      const end = newline < 0 ? chunk.length : newline;
      records.push(record(0, stream, newline < 0 ? 'P' : 'F', chunk.subarray(start, end)));
      start = end + 1;
    }
  }
  return Buffer.concat(records);
}

describe('LogFile', () => {
  let directory: string;
  let log: LogFile;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'slipway-logs-'));
    log = new LogFile(join(directory, 'log'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function entries(options?: LogReadOptions): Promise<LogEntry[]> {
    const all: LogEntry[] = [];
    for await (const entry of log.read(options)) all.push(entry);
    return all;
  }
  async function text(options?: LogReadOptions): Promise<string> {
    return Buffer.concat((await entries(options)).map(({ data }) => data)).toString();
  }
  const numbered = (count: number) =>
    Buffer.concat(
      Array.from({ length: count }, (_, index) => record(index % 3600, 'stdout', 'F', `line ${index}`)),
    );

  it('gives back the exact bytes of both streams, merged or not', async () => {
    const chunk = fc.record({
      stream: fc.constantFrom<Stream>('stdout', 'stderr'),
      bytes: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.uint8Array({ minLength: 8000, maxLength: 8192 }),
        fc.constantFrom('\n', '\n\n', 'a\nb', 'no newline', '\r\n').map((value) => Buffer.from(value)),
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 30 }), fc.boolean(), async (chunks, raw) => {
        await writeFile(log.path, recordsOf(chunks));
        const read = await entries({ raw });
        for (const stream of ['stdout', 'stderr'] as const) {
          const expected = Buffer.concat(
            chunks.filter((one) => one.stream === stream).map(({ bytes }) => bytes),
          );
          const actual = Buffer.concat(read.filter((one) => one.stream === stream).map(({ data }) => data));
          expect(actual.equals(expected)).toBe(true);
        }
        if (!raw) expect(read.every(({ data, partial }) => partial !== (data.at(-1) === 10))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('says when and on which stream, and whether the line goes on', async () => {
    await writeFile(
      log.path,
      Buffer.concat([record(1, 'stderr', 'P', 'half'), record(2, 'stderr', 'F', ' whole')]),
    );
    expect(await entries()).toEqual([
      { stream: 'stderr', time: '2026-05-01T00:00:01.123456789Z', data: Buffer.from('half'), partial: true },
      {
        stream: 'stderr',
        time: '2026-05-01T00:00:02.123456789Z',
        data: Buffer.from(' whole\n'),
        partial: false,
      },
    ]);
  });

  it('is empty while there is no file', async () => {
    expect(await entries()).toEqual([]);
    expect((await log.end()).offset).toBe(0);
  });

  it('selects a stream', async () => {
    await writeFile(
      log.path,
      Buffer.concat([record(1, 'stderr', 'F', 'err'), record(2, 'stdout', 'F', 'out')]),
    );
    expect(await text({ stderr: false })).toBe('out\n');
    expect(await text({ stdout: false, raw: true })).toBe('err\n');
  });

  it('merges neighbours of one stream only', async () => {
    const parts = [
      record(1, 'stdout', 'F', 'a'),
      record(2, 'stdout', 'F', 'b'),
      record(3, 'stderr', 'F', 'c'),
    ];
    await writeFile(log.path, Buffer.concat([...parts, record(4, 'stdout', 'P', 'd')]));
    expect((await entries({ raw: true })).map(({ stream, data }) => [stream, String(data)])).toEqual([
      ['stdout', 'a\nb\n'],
      ['stderr', 'c\n'],
      ['stdout', 'd'],
    ]);
  });

  describe('tail', () => {
    it('gives the last lines of a file of any size', async () => {
      await writeFile(log.path, numbered(20_000));
      expect(await text({ tail: 3 })).toBe('line 19997\nline 19998\nline 19999\n');
      expect((await entries({ tail: 5000 })).length).toBe(5000);
      expect((await entries({ tail: 20_000 })).length).toBe(20_000);
      expect((await entries({ tail: 1_000_000 })).length).toBe(20_000);
      expect(await text({ tail: 0 })).toBe('');
    });

    it('counts lines, not records, and the last one also without its newline', async () => {
      const long = [
        record(1, 'stdout', 'P', 'x'),
        record(1, 'stdout', 'P', 'y'),
        record(1, 'stdout', 'F', 'z'),
      ];
      await writeFile(log.path, Buffer.concat([record(0, 'stdout', 'F', 'first'), ...long, ...long]));
      expect(await text({ tail: 1 })).toBe('xyz\n');
      expect(await text({ tail: 2 })).toBe('xyz\nxyz\n');
      await appendFile(log.path, record(2, 'stdout', 'P', 'prompt> '));
      expect(await text({ tail: 1 })).toBe('prompt> ');
      expect(await text({ tail: 2 })).toBe('xyz\nprompt> ');
    });

    it('counts lines of the selected stream', async () => {
      const pair = (index: number) => [
        record(1, 'stdout', 'F', `out ${index}`),
        record(1, 'stderr', 'F', `err ${index}`),
      ];
      await writeFile(log.path, Buffer.concat([pair(1), pair(2), pair(3)].flat()));
      expect(await text({ tail: 2, stderr: false })).toBe('out 2\nout 3\n');
    });

    it('begins at a line wherever blocks of the file happen to begin', async () => {
      const line = fc.integer({ min: 0, max: 9000 });
      await fc.assert(
        fc.asyncProperty(
          fc.array(line, { minLength: 1, maxLength: 40 }),
          fc.nat(45),
          async (lengths, tail) => {
            const lines = lengths.map((length, index) => `${index}${'x'.repeat(length)}`);
            await writeFile(log.path, Buffer.concat(lines.map((one) => record(0, 'stdout', 'F', one))));
            const expected = tail === 0 ? [] : lines.slice(-tail);
            expect(await text({ tail })).toBe(expected.map((one) => `${one}\n`).join(''));
          },
        ),
        { numRuns: 50 },
      );
    });
  });

  describe('since and until', () => {
    const at = (second: number) => `${time(second)}Z`;

    it('bound what is read, in a file of any size', async () => {
      const records = Array.from({ length: 3000 }, (_, second) =>
        record(second, 'stdout', 'F', `${second} ${'x'.repeat(100)}`),
      );
      await writeFile(log.path, Buffer.concat(records));
      const read = await entries({ since: at(1234), until: at(1240) });
      expect(read.map(({ data }) => Number.parseInt(String(data), 10))).toEqual([
        1234, 1235, 1236, 1237, 1238, 1239, 1240,
      ]);
      expect((await entries({ since: at(0) })).length).toBe(3000);
      expect((await entries({ since: at(2999) })).length).toBe(1);
      expect((await entries({ until: at(0) })).length).toBe(1);
    });

    it('apply to the lines of tail', async () => {
      await writeFile(log.path, numbered(10));
      expect(await text({ tail: 5, since: at(8) })).toBe('line 8\nline 9\n');
    });
  });

  describe('following', () => {
    it('gives what comes, and ends when it has ended and all was read', async () => {
      const ended = Promise.withResolvers<void>();
      await writeFile(log.path, record(0, 'stdout', 'F', 'before'));
      const reading = text({ follow: true, ended: ended.promise });
      for (let index = 0; index < 5; index++) {
        await appendFile(log.path, record(1, 'stdout', 'F', `line ${index}`));
        await new Promise(setImmediate);
      }
      await appendFile(log.path, record(2, 'stdout', 'F', 'last'));
      ended.resolve();
      expect(await reading).toBe('before\nline 0\nline 1\nline 2\nline 3\nline 4\nlast\n');
    });

    it('gives each line as soon as it is there', async () => {
      await writeFile(log.path, '');
      const reading = log.read({ follow: true });
      for (const line of ['one', 'two', 'three']) {
        const next = reading.next();
        await appendFile(log.path, record(0, 'stdout', 'F', line));
        expect(String((await next).value!.data)).toBe(`${line}\n`);
      }
      await reading.return();
    });

    it('waits for a record to be whole', async () => {
      const whole = record(0, 'stdout', 'F', 'in two writes');
      await writeFile(log.path, whole.subarray(0, 50));
      const reading = log.read({ follow: true });
      const next = reading.next();
      await new Promise(setImmediate);
      await appendFile(log.path, whole.subarray(50));
      expect(String((await next).value!.data)).toBe('in two writes\n');
      await reading.return();
    });

    it('waits for the file', async () => {
      const ended = Promise.withResolvers<void>();
      const reading = text({ follow: true, ended: ended.promise });
      await new Promise(setImmediate);
      await writeFile(log.path, record(0, 'stdout', 'F', 'here'));
      ended.resolve();
      expect(await reading).toBe('here\n');
      await rm(log.path);
      expect(await text({ follow: true, ended: Promise.resolve() })).toBe('');
    });

    it('goes on after the file was truncated', async () => {
      await writeFile(log.path, numbered(100));
      const reading = log.read({ follow: true, tail: 1 });
      expect(String((await reading.next()).value!.data)).toBe('line 99\n');
      const next = reading.next();
      await truncate(log.path);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await appendFile(log.path, record(0, 'stdout', 'F', 'anew'));
      expect(String((await next).value!.data)).toBe('anew\n');
      await reading.return();
    });

    it('begins now when asked to', async () => {
      await writeFile(log.path, Buffer.concat([numbered(10), Buffer.from('2026-05-01T00')]));
      const from = await log.end();
      const reading = log.read({ follow: true, from });
      await appendFile(log.path, record(0, 'stdout', 'F', 'new').subarray('2026-05-01T00'.length));
      expect(String((await reading.next()).value!.data)).toBe('new\n');
      await reading.return();
    });

    it('ends with an abort', async () => {
      await writeFile(log.path, '');
      const aborter = new AbortController();
      const next = log.read({ follow: true, signal: aborter.signal }).next();
      await new Promise(setImmediate);
      aborter.abort();
      await expect(next).rejects.toMatchObject({ kind: 'canceled' });
    });
  });

  it('passes over what is no record', async () => {
    const parts = [
      record(0, 'stdout', 'F', 'good'),
      Buffer.from('torn\n\n x y\n'),
      Buffer.alloc(200_000, 'z'),
      Buffer.from('\n'),
    ];
    await writeFile(log.path, Buffer.concat([...parts, record(0, 'stdout', 'F', 'again')]));
    expect(await text()).toBe('good\nagain\n');
    expect(await text({ tail: 2 })).toBe('good\nagain\n');
  });
});
