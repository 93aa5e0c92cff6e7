import {
  appendFileSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogFile, type LogReadOptions } from '#worker/logs/log-file.ts';
import { LogRotation, rotate } from '#worker/logs/log-rotation.ts';

let folder: string;
let path: string;
let written: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-rotation-'));
  path = join(folder, 'log');
  written = 0;
  writeFileSync(path, '');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** One line a second, numbered from 0. */
function write(count: number): void {
  for (let line = 0; line < count; line++, written++) {
    const time = new Date(Date.UTC(2026, 0, 1) + written * 1000).toISOString().slice(0, 19);
    appendFileSync(path, `${time}.000000000+00:00 stdout F ${written}\n`);
  }
}

/** As a monitor does it: the new file comes in place of the old one, at once. */
async function reopen(): Promise<void> {
  writeFileSync(`${path}.tmp`, '');
  renameSync(`${path}.tmp`, path);
}

const turn = (maxFiles: number) => rotate({ path, maxFiles, reopen });

async function lines(options?: LogReadOptions): Promise<number[]> {
  let text = '';
  for await (const { data } of new LogFile(path).read(options)) text += Buffer.from(data).toString();
  return text.split('\n').filter(Boolean).map(Number);
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);
const names = () => readdirSync(folder).sort();

describe('rotate', () => {
  it('keeps so many files, and loses the oldest lines', async () => {
    for (let round = 0; round < 5; round++) {
      write(10);
      await turn(3);
    }
    write(3);
    expect(names()).toEqual(['log', 'log.1', 'log.2']);
    expect(await lines()).toEqual(range(30, 53));
  });

  it('with one file begins anew', async () => {
    write(10);
    await turn(1);
    write(2);
    expect(names()).toEqual(['log']);
    expect(await lines()).toEqual([10, 11]);
  });

  it('goes on where an earlier one was cut short', async () => {
    write(5);
    await turn(3);
    write(5);
    // Ended before the writer was told: the file has two names, and no line is read twice.
    renameSync(`${path}.1`, `${path}.2`);
    linkSync(path, `${path}.1`);
    expect(await lines()).toEqual(range(0, 10));
    await turn(3);
    write(1);
    expect(names()).toEqual(['log', 'log.1', 'log.2']);
    expect(await lines()).toEqual(range(0, 11));
    // Ended between the two steps that give the file its new name.
    linkSync(path, `${path}.1.new`);
    await turn(3);
    expect(names()).toEqual(['log', 'log.1', 'log.2']);
    expect(await lines()).toEqual(range(5, 11));
  });

  it('says so when the writer does not react', async () => {
    write(1);
    await expect(rotate({ path, maxFiles: 2, reopen: async () => {} })).rejects.toThrow('did not begin');
    expect(await lines()).toEqual([0]);
  });
});

describe('a rotated log is read as one', () => {
  const time = (line: number) =>
    `${new Date(Date.UTC(2026, 0, 1) + line * 1000).toISOString().slice(0, 19)}.000000000Z`;

  beforeEach(async () => {
    for (let round = 0; round < 4; round++) {
      write(10);
      await turn(5);
    }
    write(5);
  });

  it.each([0, 1, 5, 6, 15, 44, 45, 100])('its last %i lines', async (tail) => {
    expect(await lines({ tail })).toEqual(range(Math.max(0, 45 - tail), 45));
  });

  it.each([0, 9, 10, 11, 25, 40, 44, 45])('since line %i', async (line) => {
    expect(await lines({ since: time(line) })).toEqual(range(line, 45));
  });

  it('until a time', async () => {
    expect(await lines({ until: time(12) })).toEqual(range(0, 13));
  });

  it('from a place in it that has another name since', async () => {
    const from = await new LogFile(path).end();
    write(2);
    await turn(5);
    write(2);
    expect(await lines({ from })).toEqual(range(45, 49));
  });

  it('from a place that is gone', async () => {
    const from = await new LogFile(path).end();
    for (let round = 0; round < 5; round++) {
      write(1);
      await turn(5);
    }
    expect(await lines({ from })).toEqual(range(46, 50));
  });
});

it('a reader who follows misses nothing, however often the log is rotated', async () => {
  const ended = Promise.withResolvers<void>();
  const reading = lines({ follow: true, ended: ended.promise });
  for (let round = 0; round < 40; round++) {
    write(25);
    if (round % 3 === 0) await turn(4);
    // The reader is given its turn: files that are gone before it came to them cannot be read.
    await sleep(2);
  }
  ended.resolve();
  expect(await reading).toEqual(range(0, 1000));
});

it('a log is kept within its bounds while it grows', async () => {
  using _rotation = new LogRotation({ path, maxSize: 2_000, maxFiles: 3, reopen }, pino({ level: 'silent' }));
  await expect
    .poll(
      () => {
        write(20);
        return names();
      },
      { interval: 20, timeout: 20_000 },
    )
    .toEqual(['log', 'log.1', 'log.2']);
  expect(Number(/(\d+)\n$/.exec(readFileSync(`${path}.1`, 'utf8'))![1])).toBeLessThan(written);
  const kept = await lines();
  expect(kept).toEqual(range(kept[0]!, written));
});
