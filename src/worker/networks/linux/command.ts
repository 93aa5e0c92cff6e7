import { spawn } from 'node:child_process';
import { systemCode, unavailable } from '#errors/errors.ts';

/** Runs a system tool with `input` on its stdin and answers its output. Throws `unavailable` with its last words. */
export function runCommand(command: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'pipe' });
    const output: Buffer[] = [];
    const complaints: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
    child.on('error', (cause) => {
      const hint =
        systemCode(cause) === 'ENOENT' ? 'it is not installed (apt-get install iptables)' : cause.message;
      reject(unavailable(`cannot run ${command}: ${hint}`, { cause }));
    });
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(output).toString());
      const words = Buffer.concat(complaints).toString().trim();
      reject(unavailable(`${command} failed (${signal ?? code}): ${words}`));
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
