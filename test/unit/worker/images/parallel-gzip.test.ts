import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parallelGzip } from '#worker/images/parallel-gzip.ts';
import { collect, pieces } from '../../tar/tar-bytes.ts';

const MIB = 1024 * 1024;
const text = Buffer.from('all work and no play '.repeat(200_000));

describe('gzip on several threads', () => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from('x')],
    ['exactly a block', Buffer.alloc(MIB, 'a')],
    ['a byte more', Buffer.alloc(MIB + 1, 'b')],
    ['text', text],
    ['what cannot be compressed', randomBytes(3 * MIB + 17)],
  ])('gives one member that everybody reads: %s', async (_, bytes) => {
    const compressed = await collect(parallelGzip(pieces(bytes, 100_003)));
    expect(gunzipSync(compressed).equals(bytes)).toBe(true);
    expect(execFileSync('gzip', ['-dc'], { input: compressed, maxBuffer: 1e8 }).equals(bytes)).toBe(true);
  });

  it('mixes what compresses with what does not', async () => {
    const noise = randomBytes(2 * MIB);
    const bytes = Buffer.concat([text.subarray(0, MIB), noise, text]);
    const compressed = await collect(parallelGzip(pieces(bytes, 70_001)));
    expect(execFileSync('gzip', ['-dc'], { input: compressed, maxBuffer: 1e8 }).equals(bytes)).toBe(true);
    expect(compressed.length).toBeLessThan(noise.length * 1.02);
  });

  it('gives the same bytes however the input is cut', async () => {
    const one = await collect(parallelGzip(pieces(text, 1_000)));
    const other = await collect(parallelGzip(pieces(text, 5_000_000)));
    expect(one.equals(other)).toBe(true);
    // Blocks know what came before them, so that joining costs next to nothing.
    expect(one.length).toBeLessThan(text.length / 100);
  });

  it('fails as its source does', async () => {
    const failing = (async function* () {
      yield Buffer.alloc(3 * MIB);
      throw new Error('the source broke');
    })();
    await expect(collect(parallelGzip(failing))).rejects.toThrow('the source broke');
  });
});
