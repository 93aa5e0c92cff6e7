import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { invalid, systemCode, unsupported } from '#errors/errors.ts';

/** What Node's zlib does not know; with a bound on memory where the program has one. */
const PROGRAMS = {
  xz: { command: ['xz', '--decompress', '--stdout', '--quiet', '--memlimit=512MiB'], package: 'xz-utils' },
  bzip2: { command: ['bzip2', '--decompress', '--stdout', '--quiet'], package: 'bzip2' },
} as const;

/**
 * A stream unpacked by the program that made its format. Leaving early ends the program. Throws `invalid` for a
 * broken stream, `unsupported` where the program is not installed.
 */
export async function* throughProgram(
  kind: keyof typeof PROGRAMS,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const [program, ...args] = PROGRAMS[kind].command;
  const child = spawn(program, args, { env: { PATH: '/usr/bin:/bin:/usr/local/bin' }, stdio: 'pipe' });
  const ended = once(child, 'close') as Promise<[number | null]>;
  const stderr = text(child.stderr);
  const input = Readable.from(source, { objectMode: false });
  let inputError: Error | undefined;
  input.on('error', (error) => {
    inputError = error;
    child.kill('SIGKILL');
  });
  // It may end before it has read everything: its exit code says why.
  child.stdin.on('error', () => input.destroy());
  input.pipe(child.stdin);
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    const [code] = await ended;
    if (inputError) throw inputError;
    if (code !== 0) throw invalid(`broken ${kind} stream: ${(await stderr).trim() || `exit code ${code}`}`);
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw cause;
    const missing = PROGRAMS[kind].package;
    throw unsupported(`${kind} compression needs the program ${program} (Debian package ${missing})`, {
      cause,
    });
  } finally {
    ended.catch(() => undefined);
    child.kill('SIGKILL');
    input.destroy();
  }
}
