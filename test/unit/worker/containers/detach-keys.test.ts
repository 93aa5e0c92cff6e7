import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DetachScanner, parseDetachKeys } from '#worker/containers/attach/detach-keys.ts';

it('reads key names as a terminal sends them', () => {
  expect([...parseDetachKeys(undefined)]).toEqual([16, 17]);
  expect([...parseDetachKeys('ctrl-a,b,ctrl-[')]).toEqual([1, 98, 27]);
  expect(() => parseDetachKeys('ctrl-é')).toThrow('Invalid detach keys');
  expect(() => parseDetachKeys('ab,c')).toThrow('Invalid detach keys');
});

it('finds the sequence across chunks and keeps it to itself', () => {
  const scanner = new DetachScanner(Uint8Array.of(16, 17));
  expect(scanner.scan(Uint8Array.of(65, 16))).toEqual({ input: Uint8Array.of(65), detached: false });
  expect(scanner.scan(Uint8Array.of(17, 66))).toEqual({ input: new Uint8Array(), detached: true });
});

it('gives a sequence that breaks off back', () => {
  const scanner = new DetachScanner(Uint8Array.of(16, 17));
  scanner.scan(Uint8Array.of(16));
  expect(scanner.scan(Uint8Array.of(65)).input).toEqual(Uint8Array.of(16, 65));
  scanner.scan(Uint8Array.of(16));
  expect(scanner.scan(Uint8Array.of(16, 17))).toEqual({ input: Uint8Array.of(16), detached: true });
});

it('changes nothing of what does not contain it', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ max: 15 })), (chunks) => {
      const scanner = new DetachScanner(Uint8Array.of(16, 17));
      const passed = chunks.flatMap((chunk) => [...scanner.scan(chunk).input]);
      expect(passed).toEqual(chunks.flatMap((chunk) => [...chunk]));
    }),
  );
});
