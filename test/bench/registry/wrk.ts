import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface Answered {
  /** Requests a second. */
  readonly rate: number;
  /** The 99th percentile of the times to answer, in milliseconds. */
  readonly p99: number;
}

/** Gets one path again and again, from a process that costs less than what it measures. */
export async function wrk(
  address: string,
  path: string,
  options: { connections: number; seconds: number; accept?: string },
): Promise<Answered> {
  const { connections, seconds, accept } = options;
  const load = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency'];
  const headers = accept === undefined ? [] : ['-H', `Accept: ${accept}`];
  const { stdout } = await promisify(execFile)('wrk', [
    ...load,
    ...headers,
    `http://${address}${path}`,
  ]).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new Error('wrk is missing: apt-get install --no-install-recommends wrk');
  });
  const failed = /Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)/.exec(stdout);
  if (failed) throw new Error(`${address}${path}: ${failed[0]}`);
  return {
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]),
    p99: milliseconds(/^\s+99%\s+(\S+)/m.exec(stdout)![1]!),
  };
}

function milliseconds(text: string): number {
  const [, value, unit] = /^([\d.]+)(us|ms|s|m)$/.exec(text)!;
  return Number(value) * { us: 0.001, ms: 1, s: 1000, m: 60_000 }[unit as 'us' | 'ms' | 's' | 'm'];
}
