import { readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SpecRequest } from '#worker/runtime/spec/spec-request.ts';
import { conmonContainers } from './conmon-containers.ts';

const world = conmonContainers();
const { create, started, shell, exec } = world;

describe('what a specification asks for', () => {
  it('is what the container gets by default', async () => {
    expect(await shell('hostname')).toBe('testhost');
    expect(await shell('id')).toMatch(/^uid=0\(root\) gid=0\(root\)/);
    expect(await shell('grep CapEff /proc/self/status')).toBe('CapEff:\t00000000a80425fb');
    expect(await shell('grep Seccomp: /proc/self/status')).toBe('Seccomp:\t2');
    expect(await shell('cat /proc/kcore | head -c 1 | wc -c; touch /proc/sys/x; touch /sys/x')).toMatch(
      /^0\n.*(nonexistent|No such|Read-only).*\n.*Read-only/s,
    );
    expect(await shell('mount -t tmpfs x /tmp; echo $?')).toMatch(/(denied|not permitted|Operation)/);
  });

  it('runs as the user it names, with that one in the image', async () => {
    expect(await shell('id', { user: 'developer' })).toMatch(
      /^uid=1000\(developer\) gid=1000\(developer\) groups=(1000\(developer\),)?44\(video\)/,
    );
    expect(await shell('id -u; id -g', { user: '12:34' })).toBe('12\n34');
    await expect(create(['true'], { user: 'nobody-here' })).rejects.toMatchObject({
      kind: 'invalid',
      message: 'unable to find user nobody-here: no matching entries in passwd file',
    });
  });

  it('adds and drops capabilities', async () => {
    expect(await shell('grep CapEff /proc/self/status', { capDrop: ['ALL'], capAdd: ['CHOWN'] })).toBe(
      'CapEff:\t0000000000000001',
    );
  });

  it('is nearly everything when privileged', async () => {
    const output = await shell(
      'mount -t tmpfs x /tmp && echo mounted; ls /dev/kmsg; grep Seccomp: /proc/self/status',
      {
        privileged: true,
      },
    );
    expect(output).toBe('mounted\n/dev/kmsg\nSeccomp:\t0');
  });

  it('mounts', async () => {
    await writeFile(join(world.on.directory, 'file'), 'from the host');
    const mounts: SpecRequest['mounts'] = [
      { type: 'bind', source: join(world.on.directory, 'file'), destination: '/in/file', readonly: true },
      { type: 'tmpfs', destination: '/scratch', options: ['size=1m', 'mode=1777'] },
    ];
    const script =
      'cat /in/file; echo; echo x > /in/file; dd if=/dev/zero of=/scratch/f bs=64k 2>&1 | grep -c space; touch /x && echo no';
    expect(await shell(script, { mounts, readonlyRootfs: true })).toMatch(
      /^from the host\n1\n.*Read-only file system/s,
    );
  });

  it('limits', async () => {
    const limits = { memory: 64 * 1024 * 1024, nanoCpus: 500_000_000, pidsLimit: 33 };
    const task = await started(['sleep', '1000'], { resources: limits });
    const read = (controller: string, v1: string, v2: string) => {
      const unified = world.on.host.cgroup.version === 'v2';
      const base = unified ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controller}`;
      return readFile(`${base}${world.on.cgroupParent}/${task.id}/${unified ? v2 : v1}`, 'utf8');
    };
    expect((await read('memory', 'memory.limit_in_bytes', 'memory.max')).trim()).toBe(String(limits.memory));
    expect(await read('cpu', 'cpu.cfs_quota_us', 'cpu.max')).toMatch(/^50000\b/);
    expect((await read('pids', 'pids.max', 'pids.max')).trim()).toBe('33');
  });

  it('gives the resource limits it can', async () => {
    const ulimits = [
      { name: 'nofile', soft: 100, hard: 10_000_000 },
      { name: 'core', soft: -1, hard: -1 },
    ];
    expect(await shell('ulimit -n; ulimit -c', { ulimits })).toBe('100\nunlimited');
  });

  it('shares namespaces', async () => {
    const host = await shell('ls -l /proc/self/ns/', {
      namespaces: { network: 'host', pid: 'host', ipc: 'host', uts: 'host' },
    });
    for (const name of ['net', 'pid', 'ipc', 'uts']) {
      expect(host).toContain(await readlink(`/proc/self/ns/${name}`));
    }
    const first = await started(['sleep', '1000']);
    const script = 'ls -l /proc/self/ns/';
    const sharing = { network: `/proc/${first.pid}/ns/net`, pid: { path: `/proc/${first.pid}/ns/pid` } };
    const output = await shell(script, {
      namespaces: { ...sharing, ipc: { path: `/proc/${first.pid}/ns/ipc` } },
    });
    const own = await exec(first, ['sh', '-c', script]);
    const line = (text: string, name: string) => new RegExp(`${name} -> (\\S+)`).exec(text)?.[1];
    for (const name of ['net', 'pid', 'ipc'])
      expect(line(output, name)).toBe(line(own.stdout.toString(), name));
    expect(line(output, 'uts')).not.toBe(line(own.stdout.toString(), 'uts'));
  });

  it('brings an init that reaps', async () => {
    if (!world.on.host.tools.init.path) throw new Error('this test needs catatonit or tini-static');
    expect(await shell('cat /proc/1/comm', { init: true })).toMatch(/init|catatonit|tini/);
  });
});
