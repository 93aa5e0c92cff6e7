import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { deflateRawSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { looksCompressed } from '#worker/images/gzip/compressed-content.ts';

const MIB = 1024 * 1024;
const program = readFileSync(process.execPath).subarray(0, 32 * MIB);

it.each([
  ['random bytes', randomBytes(MIB), true],
  ['what was deflated', deflateRawSync(program).subarray(0, MIB), true],
  ['text', Buffer.from('all work and no play '.repeat(60_000)), false],
  ['zeros', Buffer.alloc(MIB), false],
  ['random bytes as text', Buffer.from(randomBytes(MIB).toString('base64')), false],
  ['half random bytes', Buffer.concat([randomBytes(MIB / 2), Buffer.alloc(MIB / 2)]), false],
  ['too little to tell', randomBytes(1000), false],
])('%s', (_, bytes, expected) => {
  expect(looksCompressed(bytes)).toBe(expected);
});

it('takes no part of a program for compressed that can be by more than a twentieth', () => {
  for (let at = 0; at < program.length; at += MIB) {
    const block = program.subarray(at, at + MIB);
    if (looksCompressed(block)) expect(deflateRawSync(block).length).toBeGreaterThan(block.length * 0.95);
  }
});
