import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FULL_PACE } from '#worker/images/gzip/gzip.ts';
import { selectGzip } from '#worker/images/gzip/select-gzip.ts';
import { collect, pieces } from '../../../tar/tar-bytes.ts';

const MIB = 1024 * 1024;
const text = Buffer.from('all work and no play '.repeat(200_000));

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe.each([selectGzip('libdeflate'), selectGzip('zlib')])('gzip by $library', (gzip) => {
  const compressed = (bytes: Buffer, cut: number, level?: number) =>
    collect(gzip.compress(pieces(bytes, cut), { level }));

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from('x')],
    ['exactly a block', Buffer.alloc(MIB, 'a')],
    ['a byte more', Buffer.alloc(MIB + 1, 'b')],
    ['text', text],
    ['what cannot be compressed', randomBytes(3 * MIB + 17)],
  ])('gives what everybody reads: %s', async (_, bytes) => {
    const result = await compressed(bytes, 100_003);
    expect(gunzipSync(result).equals(bytes)).toBe(true);
    expect(execFileSync('gzip', ['-dc'], { input: result, maxBuffer: 1e8 }).equals(bytes)).toBe(true);
    const python = 'import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))';
    expect(execFileSync('python3', ['-c', python], { input: result, maxBuffer: 1e8 }).equals(bytes)).toBe(
      true,
    );
  });

  it('stores what does not compress', async () => {
    const noise = randomBytes(2 * MIB);
    const bytes = Buffer.concat([text.subarray(0, MIB), noise, text]);
    const result = await compressed(bytes, 70_001);
    expect(gunzipSync(result).equals(bytes)).toBe(true);
    expect(result.length).toBeLessThan(noise.length * 1.02);
  });

  it('gives the same bytes however the input is cut, and at any pace', async () => {
    const one = await compressed(text, 1_000);
    const other = await compressed(text, 5_000_000);
    const pace = { blocksAtOnce: 1 };
    const hurried = async function* () {
      yield* pieces(text.subarray(0, 2 * MIB), 65_536);
      pace.blocksAtOnce = FULL_PACE.blocksAtOnce;
      yield* pieces(text.subarray(2 * MIB), 65_536);
    };
    expect(digest(other)).toBe(digest(one));
    expect(digest(await collect(gzip.compress(hurried(), { pace })))).toBe(digest(one));
    expect(one.length).toBeLessThan(text.length / 100);
  });

  it('compresses more at a higher level, and not at all at 0', async () => {
    const program = readFileSync(process.execPath).subarray(MIB, 4 * MIB);
    const [none, little, much] = await Promise.all([0, 1, 9].map((level) => compressed(program, MIB, level)));
    expect(none!.length).toBeGreaterThan(program.length);
    expect(little!.length).toBeLessThan(program.length);
    expect(much!.length).toBeLessThan(little!.length);
    for (const result of [none, little, much]) expect(gunzipSync(result!).equals(program)).toBe(true);
  });

  it('fails as its source does', async () => {
    const failing = (async function* () {
      yield Buffer.alloc(3 * MIB);
      throw new Error('the source broke');
    })();
    await expect(collect(gzip.compress(failing))).rejects.toThrow('the source broke');
  });

  it('may be left before its end', async () => {
    let left = false;
    const endless = (async function* () {
      try {
        for (;;) yield text.subarray(0, MIB);
      } finally {
        left = true;
      }
    })();
    let size = 0;
    for await (const piece of gzip.compress(endless)) {
      size += piece.length;
      if (size > 10_000) break;
    }
    expect(left).toBe(true);
  });
});

it('takes the library that there is', () => {
  expect(selectGzip().library).toBe('libdeflate');
});
