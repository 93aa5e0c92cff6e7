import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { HostFacts, Tool, ToolName } from './host-facts.ts';

const run = promisify(execFile);
const DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const PODMAN = [
  '/usr/libexec/podman',
  '/usr/lib/podman',
  '/usr/local/libexec/podman',
  '/usr/local/lib/podman',
];

interface Candidate {
  package: string;
  purpose: string;
  required: boolean;
  paths: string[];
  versionArgs?: string[];
}

const inPath = (name: string, ...more: string[]) =>
  [...DIRECTORIES, ...more].map((folder) => `${folder}/${name}`);

const CANDIDATES: Record<ToolName, Candidate> = {
  runc: { package: 'runc', purpose: 'runs containers', required: true, paths: inPath('runc') },
  conmon: {
    package: 'conmon',
    purpose: 'watches over each container',
    required: true,
    paths: inPath('conmon'),
  },
  socat: {
    package: 'socat',
    purpose: 'gives containers a stdin',
    required: true,
    paths: inPath('socat'),
    versionArgs: ['-V'],
  },
  iptables: {
    package: 'iptables',
    purpose: 'address translation and published ports',
    required: true,
    paths: inPath('iptables'),
  },
  git: {
    package: 'git',
    purpose: 'build contexts that are repositories',
    required: false,
    paths: inPath('git'),
  },
  // Statically linked ones only: it runs inside images that may have no libc, or another one.
  init: {
    package: 'catatonit',
    purpose: 'docker run --init',
    required: false,
    paths: [...inPath('docker-init'), ...inPath('catatonit', ...PODMAN), ...inPath('tini-static')],
  },
};

export async function probeTools(): Promise<HostFacts['tools']> {
  const entries = Object.entries(CANDIDATES).map(async ([name, candidate]) => [name, await probe(candidate)]);
  return Object.fromEntries(await Promise.all(entries));
}

async function probe(candidate: Candidate): Promise<Tool> {
  const { package: debianPackage, purpose, required, paths, versionArgs = ['--version'] } = candidate;
  const path = await firstExecutable(paths);
  const version = path === undefined ? undefined : await versionOf(path, versionArgs);
  return { path, version, package: debianPackage, purpose, required };
}

async function firstExecutable(paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  return undefined;
}

/** The first thing in the output that looks like a version. */
async function versionOf(path: string, args: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run(path, args, { timeout: 5_000 });
    return /\bv?(\d+\.\d+[\w.+~-]*)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}
