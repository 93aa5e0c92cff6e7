import { readFile } from 'node:fs/promises';
import { cpus, hostname, release, totalmem } from 'node:os';

/** What `docker info` and `docker version` say of the machine. */
export interface Host {
  readonly name: string;
  readonly kernelVersion: string;
  /** As in os-release: `Debian GNU/Linux 12 (bookworm)`. */
  readonly operatingSystem: string;
  readonly osVersion: string;
  /** As `uname -m` names it. */
  readonly machine: string;
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
}

const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

export async function readHost(): Promise<Host> {
  const osRelease = parseOsRelease(await readFile('/etc/os-release', 'utf8').catch(() => ''));
  return {
    name: hostname(),
    kernelVersion: release(),
    operatingSystem: osRelease.get('PRETTY_NAME') ?? 'Linux',
    osVersion: osRelease.get('VERSION_ID') ?? '',
    machine: MACHINES[process.arch] ?? process.arch,
    cpus: cpus().length,
    memory: totalmem(),
  };
}

function parseOsRelease(text: string): Map<string, string> {
  const entries = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([A-Z_]+)=(?:"(.*)"|(.*))$/.exec(line);
    if (match) entries.set(match[1]!, match[2] ?? match[3] ?? '');
  }
  return entries;
}
