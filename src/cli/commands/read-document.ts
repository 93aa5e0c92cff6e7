import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { parse } from 'yaml';
import { messageOf } from '#errors/errors.ts';
import { Refusal } from '../refusal.ts';

/** What a file says, in YAML or JSON; `-` is standard input. Throws `Refusal`, with what was `expected`. */
export async function readDocument(file: string, expected: string): Promise<Record<string, unknown>> {
  try {
    const value: unknown = parse(file === '-' ? await text(process.stdin) : await readFile(file, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch (error) {
    throw new Refusal(`${file}: ${messageOf(error)}`, { exitCode: 2, cause: error });
  }
  throw new Refusal(`${file}: ${expected}`, { exitCode: 2 });
}
