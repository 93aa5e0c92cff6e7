import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** In the environment of everything that a test run starts, so that it is recognised whatever its name. */
export const runMarker = { name: 'TEST_RUN_MARKER', value: randomUUID() };

/** What exists on this machine of the kinds that tests make, one line each. */
export type Snapshot = ReadonlySet<string>;

/** Programs that are started with an environment of their own. */
const watchedPrograms = new Set([
  'conmon',
  'runc',
  'netavark',
  'aardvark-dns',
  'dockerd',
  'containerd',
  'docker-proxy',
]);

export function takeSnapshot(): Snapshot {
  return new Set([
    ...processes().map((line) => `process   ${line}`),
    ...mounts().map((line) => `mount     ${line}`),
    ...entries('/run/netns').map((line) => `namespace ${line}`),
    ...links().map((line) => `link      ${line}`),
    ...rules().map((line) => `iptables  ${line}`),
    ...cgroups().map((line) => `cgroup    ${line}`),
    ...temporaryFolders().map((line) => `folder    ${line}`),
  ]);
}

/** What is there now and was not before, after up to ten seconds in which the kernel tidies up. */
export async function remains(before: Snapshot): Promise<string[]> {
  const deadline = Date.now() + 10_000;
  while (true) {
    const left = [...takeSnapshot()].filter((line) => !before.has(line));
    if (left.length === 0 || Date.now() > deadline) return left;
    await sleep(250);
  }
}

function processes(): string[] {
  return entries('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
      if (command === '') return [];
      const program = read(`/proc/${pid}/comm`).trim();
      const marked = read(`/proc/${pid}/environ`)
        .split('\0')
        .includes(`${runMarker.name}=${runMarker.value}`);
      return marked || watchedPrograms.has(program) ? [`${pid} ${command.slice(0, 160)}`] : [];
    });
}

function mounts(): string[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? []);
}

function links(): string[] {
  return entries('/sys/class/net');
}

function rules(): string[] {
  return ['iptables-save', 'ip6tables-save'].flatMap((program) =>
    output(program)
      .split('\n')
      .filter((line) => line.startsWith('-A '))
      .map((line) => `${program.replace('-save', '')} ${line}`),
  );
}

function cgroups(): string[] {
  return output('find', ['/sys/fs/cgroup', '-mindepth', '1', '-maxdepth', '5', '-type', 'd'])
    .split('\n')
    .filter((path) => /slipway|libpod|conmon|docker|\/[0-9a-f]{64}/.test(path));
}

function temporaryFolders(): string[] {
  return entries(tmpdir()).filter((name) => name.startsWith('slipway-'));
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Empty for a process that is gone meanwhile. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Empty where this machine lacks the program, or this user may not. */
function output(program: string, args: string[] = []): string {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 2 ** 26,
    });
  } catch {
    return '';
  }
}
