import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LimitedFolder, RESERVE } from '#worker/disk/limited-folder.ts';

/** On a file system of its own, which is as small as a full disk has to be. */

const run = promisify(execFile);
const command = fileURLToPath(new URL('../../../src/worker/networks/linux/command.ts', import.meta.url));
const MIB = 2 ** 20;
const WHOLE = 1024 * MIB;
/** CAP_SYS_RESOURCE: whether the kernel lets this process have a file system grow that is in use. */
const mayGrow =
  ((BigInt(`0x${/CapEff:\t(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]}`) >> 24n) & 1n) === 1n;

let area: string;
let disk: string;
let folder: string;
const running = new Set<number>();

beforeEach(async () => {
  area = await mkdtemp(join(tmpdir(), 'slipway-disk-'));
  disk = join(area, 'worker');
  folder = join(disk, 'tenant');
  await mkdir(disk);
  await writeFile(`${disk}.image`, '');
  await truncate(`${disk}.image`, WHOLE);
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', `${disk}.image`]);
  await run('mount', ['-o', 'loop', `${disk}.image`, disk]);
});

afterEach(async () => {
  for (const pid of running) await end(pid);
  const mounted = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${area}/`));
  for (const target of mounted.toReversed()) await run('umount', [target]);
  await rm(area, { recursive: true });
});

async function free(): Promise<number> {
  const { bavail, bsize } = await statfs(disk);
  return bavail * bsize;
}

/** What the file system in it says: some of the whole is its own. */
async function sizeOf(limited: LimitedFolder): Promise<number> {
  return Math.ceil(((await limited.usage())?.limit ?? 0) / (64 * MIB)) * 64 * MIB;
}

const fileSize = async () => (await stat(`${folder}~disk`)).size;
const beside = async () => (await readdir(disk)).filter((name) => name.startsWith(basename(folder)));

/** Something that goes on until the test is over. */
async function begin(program: string, args: readonly string[]): Promise<number> {
  const child: ChildProcess = spawn(program, args, { stdio: 'ignore' });
  await once(child, 'spawn');
  running.add(child.pid!);
  return child.pid!;
}

/** And waits until it is gone. */
async function end(pid: number): Promise<void> {
  running.delete(pid);
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return;
  }
  const state = async () => {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
    return text.slice(text.lastIndexOf(')') + 2)[0];
  };
  await expect.poll(state).toMatch(/[ZX]/);
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

async function childOf(pid: number): Promise<number> {
  await expect.poll(() => childrenOf(pid)).toHaveLength(1);
  const [child] = await childrenOf(pid);
  running.add(child!);
  return child!;
}

it('holds what is in the folder already to a limit, grows while it is in use and shrinks when it is not', async () => {
  const limited = new LimitedFolder(folder);
  expect(await limited.open(null)).toBe(true);
  expect(await limited.usage()).toBeUndefined();
  await writeFile(join(folder, 'kept'), 'kept');

  expect(await limited.open(256 * MIB)).toBe(true);
  expect(await sizeOf(limited)).toBe(256 * MIB);
  expect((await stat(`${folder}~disk`)).blocks * 512).toBeGreaterThanOrEqual(256 * MIB);
  const fill = () => run('fallocate', ['--length', String(300 * MIB), join(folder, 'big')]);
  await expect(fill()).rejects.toThrow('No space left');
  await rm(join(folder, 'big'), { force: true });

  expect(await limited.resize(384 * MIB)).toBe(mayGrow);
  expect(await sizeOf(limited)).toBe((mayGrow ? 384 : 256) * MIB);
  expect(await limited.resize(256 * MIB)).toBe(!mayGrow);
  await limited.close();
  expect(await limited.open(384 * MIB)).toBe(true);
  await fill();
  // What is in it does not fit into less.
  await limited.close();
  expect(await limited.open(256 * MIB)).toBe(false);
  expect(await sizeOf(limited)).toBe(384 * MIB);

  await rm(join(folder, 'big'));
  await limited.close();
  expect(await limited.open(256 * MIB)).toBe(true);
  expect(await sizeOf(limited)).toBe(256 * MIB);
  expect(await fileSize()).toBe(256 * MIB);
  expect(await readFile(join(folder, 'kept'), 'utf8')).toBe('kept');
  await limited.remove();
  expect(await beside()).toEqual([]);
});

it('leaves the worker’s disk as it was where it has no room for one, or for more', async () => {
  const limited = new LimitedFolder(folder);
  const before = await free();
  await expect(limited.open(WHOLE - RESERVE)).rejects.toMatchObject({ kind: 'unavailable' });
  expect(await free()).toBeGreaterThan(before - MIB);
  expect(await beside()).not.toContain('tenant~disk.new');

  expect(await limited.open(256 * MIB)).toBe(true);
  await writeFile(join(folder, 'kept'), 'kept');
  const held = await free();
  expect(await limited.resize(WHOLE)).toBe(false);
  expect(await fileSize()).toBe(256 * MIB);
  // Nor when it begins anew: it goes on with what it has.
  await limited.close();
  expect(await limited.open(WHOLE)).toBe(false);
  expect(await sizeOf(limited)).toBe(256 * MIB);
  expect(await readFile(join(folder, 'kept'), 'utf8')).toBe('kept');
  expect(await free()).toBeGreaterThan(held - MIB);
});

it('gives the room that there is to one of several that begin together', async () => {
  const all = ['a', 'b', 'c'].map((name) => new LimitedFolder(join(disk, name)));
  const opened = await Promise.allSettled(all.map((limited) => limited.open(400 * MIB)));
  expect(opened.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected', 'rejected']);
  expect(await free()).toBeGreaterThan(RESERVE);
});

it('goes on without a limit that what is there does not fit in', async () => {
  const limited = new LimitedFolder(folder);
  await limited.open(null);
  await writeFile(join(folder, 'big'), Buffer.alloc(260 * MIB));
  const before = await free();
  expect(await limited.open(256 * MIB)).toBe(false);
  expect((await stat(join(folder, 'big'))).size).toBe(260 * MIB);
  expect(await beside()).toEqual(
    expect.not.arrayContaining(['tenant~disk', 'tenant~disk.new', 'tenant~new']),
  );
  expect(await free()).toBeGreaterThan(before - MIB);
});

it('begins a creation anew that was cut off, at whichever point', async () => {
  const limited = new LimitedFolder(folder);
  const cutOff = async () => {
    await writeFile(`${folder}~disk.new`, '');
    await truncate(`${folder}~disk.new`, 300 * MIB);
    await run('mkfs.ext4', ['-q', '-F', `${folder}~disk.new`]);
    await mkdir(`${folder}~new`, { recursive: true });
    await run('mount', ['-o', 'loop', `${folder}~disk.new`, `${folder}~new`]);
    await writeFile(join(`${folder}~new`, 'half'), 'half');
  };
  await mkdir(folder);
  await writeFile(join(folder, 'kept'), 'kept');
  await cutOff();
  expect(await limited.open(256 * MIB)).toBe(true);
  expect((await readdir(folder)).toSorted()).toEqual(['kept', 'lost+found']);
  await limited.close();
  // The copy was whole, and what it is of was still there.
  await writeFile(join(folder, 'kept'), 'former');
  expect(await limited.open(256 * MIB)).toBe(true);
  expect(await readFile(join(folder, 'kept'), 'utf8')).toBe('kept');
  await limited.remove();

  await mkdir(folder);
  await cutOff();
  expect(await limited.open(null)).toBe(true);
  expect(await beside()).toEqual(expect.not.arrayContaining(['tenant~disk.new', 'tenant~new']));
  await cutOff();
  await limited.remove();
  expect(await beside()).toEqual([]);
});

it('is as large as it has room for, when a growth was cut off', async () => {
  const limited = new LimitedFolder(folder);
  await limited.open(256 * MIB);
  await run('fallocate', ['--length', String(384 * MIB), `${folder}~disk`]);
  expect(await limited.resize(384 * MIB)).toBe(mayGrow);
  expect(await sizeOf(limited)).toBe((mayGrow ? 384 : 256) * MIB);
  await run('fallocate', ['--length', String(512 * MIB), `${folder}~disk`]);
  await limited.close();
  expect(await limited.open(512 * MIB)).toBe(true);
  expect(await sizeOf(limited)).toBe(512 * MIB);
});

it('waits for a tool that an earlier process has left behind', async () => {
  const limited = new LimitedFolder(folder, { patience: 0 });
  await limited.open(256 * MIB);
  // The process is killed; its tool, in a session of its own, is not.
  const program = `import { runLocked } from ${JSON.stringify(command)};
    await runLocked({ lock: ${JSON.stringify(`${folder}~lock`)}, patience: 5 }, 'sleep', ['1000']);`;
  const worker = await begin(process.execPath, ['--input-type=module', '--eval', program]);
  const flock = await childOf(worker);
  const tool = await childOf(flock);
  await end(worker);
  await end(flock);

  expect(await limited.resize(384 * MIB)).toBe(false);
  expect(await sizeOf(limited)).toBe(256 * MIB);
  await limited.close();
  await expect(limited.open(384 * MIB)).rejects.toMatchObject({ kind: 'unavailable' });
  await expect(limited.open(null)).rejects.toMatchObject({ kind: 'unavailable' });
  await expect(limited.remove()).rejects.toMatchObject({ kind: 'unavailable' });
  expect(existsSync(`${folder}~disk`)).toBe(true);

  await end(tool);
  await expect.poll(() => limited.open(384 * MIB).catch(() => false)).toBe(true);
  expect(await sizeOf(limited)).toBe(384 * MIB);
});

it('does not touch a file system that another mount namespace has in use', async () => {
  const limited = new LimitedFolder(folder);
  await limited.open(384 * MIB);
  const holder = await begin('unshare', ['--mount', '--propagation', 'private', 'sleep', '1000']);
  await expect.poll(() => readFile(`/proc/${holder}/cmdline`, 'utf8')).toContain('sleep\0');
  expect(await limited.close()).toBe(true);

  expect(await limited.open(256 * MIB)).toBe(false);
  expect(await sizeOf(limited)).toBe(384 * MIB);
  await limited.close();
  expect(await limited.open(512 * MIB)).toBe(mayGrow);
  expect(await sizeOf(limited)).toBe((mayGrow ? 512 : 384) * MIB);
  await writeFile(join(`/proc/${holder}/root`, folder, 'theirs'), 'theirs');
  expect(await readFile(join(folder, 'theirs'), 'utf8')).toBe('theirs');

  await end(holder);
  await limited.close();
  expect(await limited.open(256 * MIB)).toBe(true);
  await limited.close();
  await run('e2fsck', ['-f', '-n', `${folder}~disk`]);
});
