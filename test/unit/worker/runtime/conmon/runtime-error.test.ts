import { expect, it } from 'vitest';
import { lastError } from '#worker/runtime/conmon/runtime-error.ts';

it("finds the runtime's last error among what it logged", () => {
  const lines = [
    { level: 'warning', msg: 'a warning' },
    { level: 'error', msg: 'first' },
    { level: 'error', msg: 'exec: "x": executable file not found in $PATH' },
    { level: 'info', msg: 'after' },
  ];
  const log = lines.map((line) => JSON.stringify(line)).join('\n');
  expect(lastError(`${log}\n{"level":"err`)).toBe('exec: "x": executable file not found in $PATH');
  expect(lastError('')).toBeUndefined();
});
