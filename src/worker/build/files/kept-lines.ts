import { randomUUID } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Puts lines in place of what a file holds. They only spare later builds work: where they cannot be written (a full disk)
 * the file stays as it was, and nobody hears of it.
 */
export function keepLines(file: string, lines: readonly string[]): void {
  const temporary = `${file}.${randomUUID()}`;
  try {
    writeFileSync(temporary, lines.join('\n'), { mode: 0o600 });
    renameSync(temporary, file);
  } catch {
    discard(temporary);
  }
}

function discard(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Whoever sweeps the directory finds it.
  }
}
