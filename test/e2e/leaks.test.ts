import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runMarker, takeSnapshot } from '../leaks/snapshot.ts';
import { run, succeed } from './harness/command.ts';

// What `npm test` looks for at its end is found when it is there.

let folder: string;
let name: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-planted-'));
  name = `slip${basename(folder).slice(-6).toLowerCase()}`;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const root = (program: string, ...args: string[]) => succeed(program, args, { env: process.env });

/** What makes one thing of a kind, what undoes it, and the line that tells of it. */
const plants: Readonly<Record<string, () => Promise<{ line: RegExp; undo(): unknown }>>> = {
  async process() {
    const env = { ...process.env, [runMarker.name]: runMarker.value };
    const child = spawn('sleep', ['1000'], { env, stdio: 'ignore' });
    await new Promise((resolve) => child.once('spawn', resolve));
    return { line: new RegExp(`^process +${child.pid} sleep 1000$`), undo: () => child.kill('SIGKILL') };
  },
  async 'process of a container'() {
    // Has an environment of its own, and is known by its name.
    const program = join(folder, 'conmon');
    await root('cp', '/bin/sleep', program);
    const child = spawn(program, ['1000'], { env: {}, stdio: 'ignore' });
    await new Promise((resolve) => child.once('spawn', resolve));
    return { line: new RegExp(`^process +${child.pid} `), undo: () => child.kill('SIGKILL') };
  },
  async mount() {
    await root('mount', '-t', 'tmpfs', name, folder);
    return { line: new RegExp(`^mount +${folder}$`), undo: () => root('umount', folder) };
  },
  async namespace() {
    await root('ip', 'netns', 'add', name);
    return { line: new RegExp(`^namespace +${name}$`), undo: () => root('ip', 'netns', 'delete', name) };
  },
  async link() {
    await root('ip', 'link', 'add', name, 'type', 'bridge');
    return { line: new RegExp(`^link +${name}$`), undo: () => root('ip', 'link', 'delete', name) };
  },
  async rule() {
    await root('iptables', '-w', '-N', name);
    await root('iptables', '-w', '-A', name, '-j', 'RETURN');
    const undo = async () => {
      await root('iptables', '-w', '-F', name);
      await root('iptables', '-w', '-X', name);
    };
    return { line: new RegExp(`^iptables +iptables -A ${name} `), undo };
  },
  async cgroup() {
    const base = (await run('test', ['-d', '/sys/fs/cgroup/pids'])).code === 0 ? 'pids/' : '';
    const path = `/sys/fs/cgroup/${base}slipway-${name}`;
    mkdirSync(path);
    return { line: new RegExp(`^cgroup +${path}$`), undo: () => rmdirSync(path) };
  },
  async folder() {
    return {
      line: new RegExp(`^folder +${basename(folder)}$`),
      undo: () => rmSync(folder, { recursive: true }),
    };
  },
};

it.each(Object.keys(plants))('finds a %s that a test left, and no more when it is gone', async (kind) => {
  const { line, undo } = await plants[kind]!();
  const found = () => [...takeSnapshot()].filter((text) => line.test(text));
  try {
    expect(found()).toHaveLength(1);
  } finally {
    await undo();
  }
  await expect.poll(found).toEqual([]);
});
