import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { createSpec } from '#worker/runtime/spec/create-spec.ts';
import { encodeSpec } from '#worker/runtime/spec/encode-spec.ts';
import type { SpecRequest } from '#worker/runtime/spec/spec-request.ts';
import { hostWith } from './host.ts';

const PROFILE = JSON.stringify({
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 38,
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
  ],
  syscalls: [
    { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW', args: null, includes: {}, excludes: {} },
    { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW', args: [], includes: { arches: ['amd64'] } },
    { names: ['breakpoint'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['arm64'] } },
    { names: ['ptrace'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } },
    { names: ['mount'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
    { names: ['mount'], action: 'SCMP_ACT_ERRNO', errnoRet: 1, excludes: { caps: ['CAP_SYS_ADMIN'] } },
    { names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 1, op: 'SCMP_CMP_NE' }] },
  ],
});

describe('createSpec', () => {
  let rootfs: string;
  beforeAll(async () => {
    rootfs = await mkdtemp(join(tmpdir(), 'slipway-spec-'));
  });
  afterAll(() => rm(rootfs, { recursive: true }));

  const spec = (changes: Partial<SpecRequest> = {}, host: HostFacts = hostWith()) => {
    const request = {
      id: 'abc',
      rootfs,
      args: ['true'],
      env: [],
      cwd: '',
      namespaces: { network: 'new' },
      mounts: [],
    };
    return createSpec({ ...request, ...changes }, host);
  };
  const capabilities = async (changes: Partial<SpecRequest>, host?: HostFacts) =>
    (await spec(changes, host)).process.capabilities?.effective.map((name) => name.slice(4));

  describe('capabilities', () => {
    it('are the fourteen that every engine gives', async () => {
      expect(await capabilities({})).toHaveLength(14);
      expect(await capabilities({})).not.toContain('SYS_ADMIN');
    });

    it('are added and dropped, in any spelling', async () => {
      expect(await capabilities({ capAdd: ['sys_admin', 'CAP_NET_ADMIN'], capDrop: ['chown'] })).toEqual(
        expect.arrayContaining(['SYS_ADMIN', 'NET_ADMIN']),
      );
      expect(await capabilities({ capDrop: ['Cap_Chown'] })).not.toContain('CHOWN');
      expect(await capabilities({ capDrop: ['ALL'], capAdd: ['KILL'] })).toEqual(['KILL']);
      expect(await capabilities({ capAdd: ['ALL'], capDrop: ['SYS_ADMIN'] })).toHaveLength(40);
      expect(await capabilities({ privileged: true })).toHaveLength(41);
    });

    it('are never more than the host can give', async () => {
      const host = hostWith({ capabilities: ['CAP_CHOWN', 'CAP_KILL'] });
      expect(await capabilities({ privileged: true }, host)).toEqual(['CHOWN', 'KILL']);
    });

    it('have to exist', async () => {
      await expect(spec({ capAdd: ['FLY'] })).rejects.toMatchObject({
        kind: 'invalid',
        message: 'invalid CapAdd: unknown capability: "CAP_FLY"',
      });
    });
  });

  describe('seccomp', () => {
    const host = hostWith({ seccompProfile: PROFILE });
    const rules = async (changes: Partial<SpecRequest> = {}, on = host) =>
      (await spec(changes, on)).linux.seccomp as {
        architectures: string[];
        syscalls: { names: string[]; action: string }[];
      };
    const allowed = async (changes?: Partial<SpecRequest>, on?: HostFacts) =>
      (await rules(changes, on)).syscalls
        .filter((rule) => rule.action === 'SCMP_ACT_ALLOW')
        .flatMap((rule) => rule.names);

    it('is resolved for the architecture, the kernel and the capabilities', async () => {
      expect(await allowed()).toEqual(['read', 'write', 'arch_prctl', 'ptrace', 'socket']);
      expect(await allowed({ capAdd: ['SYS_ADMIN'] })).toContain('mount');
      expect(await allowed({}, { ...host, architecture: 'arm64' })).toEqual([
        'read',
        'write',
        'breakpoint',
        'ptrace',
        'socket',
      ]);
      expect(await allowed({}, { ...host, kernel: { release: '4.4', major: 4, minor: 4 } })).not.toContain(
        'ptrace',
      );
    });

    it('covers 32-bit programs', async () => {
      expect((await rules()).architectures).toEqual(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
    });

    it('may be switched off or replaced', async () => {
      expect(await rules({ securityOpt: ['seccomp=unconfined'] })).toBeUndefined();
      expect(await rules({ privileged: true })).toBeUndefined();
      const own = JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ name: 'chmod', action: 'SCMP_ACT_ERRNO' }],
      });
      expect(await rules({ securityOpt: [`seccomp=${own}`] })).toMatchObject({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['chmod'], action: 'SCMP_ACT_ERRNO' }],
      });
      await expect(rules({ securityOpt: ['seccomp={'] })).rejects.toMatchObject({ kind: 'invalid' });
    });
  });

  describe('security options', () => {
    it('are understood in both spellings', async () => {
      expect((await spec({ securityOpt: ['no-new-privileges'] })).process.noNewPrivileges).toBe(true);
      expect((await spec({ securityOpt: ['no-new-privileges:true'] })).process.noNewPrivileges).toBe(true);
      expect((await spec({ securityOpt: ['no-new-privileges=false'] })).process.noNewPrivileges).toBe(false);
      expect((await spec({ securityOpt: ['systempaths=unconfined'] })).linux.maskedPaths).toEqual([]);
    });

    it.each(['nonsense', 'systempaths=x', 'no-new-privileges=maybe', 'label=type:x', 'apparmor=mine'])(
      'refuse %s, which would not be enforced',
      async (option) => {
        await expect(spec({ securityOpt: [option] })).rejects.toMatchObject({ kind: 'invalid' });
      },
    );
  });

  describe('mounts', () => {
    it('are the seven of every engine, before the own', async () => {
      const { mounts } = await spec({ mounts: [{ type: 'tmpfs', destination: '/x' }] });
      expect(mounts.map(({ destination }) => destination)).toEqual([
        ...['/proc', '/dev', '/dev/pts', '/sys', '/sys/fs/cgroup', '/dev/mqueue', '/dev/shm', '/x'],
      ]);
    });

    it('may replace a default one, and all of /dev', async () => {
      const shm = await spec({ mounts: [{ type: 'bind', source: '/host/shm', destination: '/dev/shm' }] });
      expect(shm.mounts.filter(({ destination }) => destination === '/dev/shm')).toEqual([
        { destination: '/dev/shm', type: 'bind', source: '/host/shm', options: ['rbind', 'rw', 'rprivate'] },
      ]);
      const dev = await spec({ mounts: [{ type: 'bind', source: '/dev', destination: '/dev' }] });
      expect(dev.mounts.map(({ destination }) => destination)).toEqual([
        '/proc',
        '/sys',
        '/sys/fs/cgroup',
        '/dev',
      ]);
    });

    it('leave /sys writable for the privileged only', async () => {
      const options = async (changes: Partial<SpecRequest>) =>
        (await spec(changes)).mounts.find(({ destination }) => destination === '/sys')?.options;
      expect(await options({})).toContain('ro');
      expect(await options({ privileged: true })).toContain('rw');
      expect(await options({ privileged: true, readonlyRootfs: true })).toContain('ro');
    });

    it('that are shared make the root shared', async () => {
      const mount = { type: 'bind' as const, source: '/a', destination: '/b', options: ['rshared'] };
      expect((await spec({ mounts: [mount] })).linux.rootfsPropagation).toBe('rshared');
      expect((await spec()).linux.rootfsPropagation).toBeUndefined();
    });
  });

  describe('resources', () => {
    const resources = async (request: SpecRequest['resources'], cgroup?: Partial<HostFacts['cgroup']>) => {
      const host = hostWith();
      const { devices: _, ...rest } = (
        await spec({ resources: request }, { ...host, cgroup: { ...host.cgroup, ...cgroup } })
      ).linux.resources!;
      return rest;
    };

    it('translate', async () => {
      expect(
        await resources({
          memory: 1000,
          nanoCpus: 1_500_000_000,
          pidsLimit: -1,
          cpusetCpus: '0-1',
          blkioWeight: 300,
        }),
      ).toEqual({
        memory: { limit: 1000, swap: 2000 },
        cpu: { quota: 150_000, period: 100_000, cpus: '0-1' },
        pids: { limit: -1 },
        blockIO: { weight: 300 },
      });
      expect((await resources({ memory: 1000, memorySwap: -1 })).memory).toEqual({ limit: 1000, swap: -1 });
    });

    it('leave out what the host cannot limit', async () => {
      const all = { memory: 1000, nanoCpus: 1e9, pidsLimit: 5, blkioWeight: 300 };
      expect(await resources(all, { controllers: new Set() })).toEqual({});
      expect((await resources(all, { swapAccounting: false })).memory).toEqual({ limit: 1000 });
      expect((await resources(all, { blkioWeight: false })).blockIO).toBeUndefined();
    });
  });

  describe('limits of a process', () => {
    const ulimits = [
      { name: 'nofile', soft: 2000, hard: 9000 },
      { name: 'core', soft: -1, hard: -1 },
    ];

    it('are clamped where the worker may not raise them', async () => {
      const host = hostWith({ capabilities: [] });
      expect((await spec({ ulimits }, host)).process.rlimits?.[0]).toEqual({
        type: 'RLIMIT_NOFILE',
        soft: 2000,
        hard: 4096,
      });
      expect((await spec({ ulimits })).process.rlimits?.[0]).toEqual({
        type: 'RLIMIT_NOFILE',
        soft: 2000,
        hard: 9000,
      });
      await expect(spec({ ulimits: [{ name: 'luck', soft: 1, hard: 1 }] })).rejects.toMatchObject({
        kind: 'invalid',
      });
    });

    it('are written to the last digit when unlimited', async () => {
      expect(encodeSpec(await spec({ ulimits }))).toContain(
        '"RLIMIT_CORE","soft":18446744073709551615,"hard":18446744073709551615',
      );
    });

    it('keep the out-of-memory score where it may not be lowered', async () => {
      const host = hostWith({ capabilities: [], oomScoreAdj: 100 });
      expect((await spec({ oomScoreAdj: -500 }, host)).process.oomScoreAdj).toBe(100);
      expect((await spec({ oomScoreAdj: -500 })).process.oomScoreAdj).toBe(-500);
    });
  });

  describe('namespaces', () => {
    const namespaces = async (changes: SpecRequest['namespaces'], host?: HostFacts) =>
      (await spec({ namespaces: changes }, host)).linux.namespaces;

    it("are the own, of others, or the host's", async () => {
      expect(
        await namespaces({
          network: '/run/netns/x',
          pid: { path: '/proc/1/ns/pid' },
          ipc: 'none',
          uts: 'host',
        }),
      ).toEqual([
        { type: 'mount' },
        { type: 'network', path: '/run/netns/x' },
        { type: 'pid', path: '/proc/1/ns/pid' },
        { type: 'ipc' },
        { type: 'cgroup' },
      ]);
      expect(
        await namespaces({ network: 'host', pid: 'host', ipc: 'host', uts: 'host', cgroup: 'host' }),
      ).toEqual([{ type: 'mount' }]);
    });

    it('leave cgroups to the host on v1, as every engine does', async () => {
      const { cgroup } = hostWith();
      const v1 = hostWith({ cgroup: { ...cgroup, version: 'hybrid' } });
      expect((await namespaces({ network: 'new' }, v1)).map(({ type }) => type)).not.toContain('cgroup');
    });

    it("of the host get none of the container's settings", async () => {
      const { linux, hostname } = await spec({
        hostname: 'h',
        domainname: 'd',
        namespaces: { network: 'host', uts: 'host' },
      });
      expect(linux.sysctl).toEqual({});
      expect(hostname).toBeUndefined();
    });
  });

  it("keeps the cgroup below the hierarchy's root", async () => {
    expect((await spec()).linux.cgroupsPath).toBe('/slipway/abc');
    expect((await spec({ cgroupParent: '../../etc' })).linux.cgroupsPath).toBe('/etc/abc');
    expect((await spec({ cgroupParent: 'jobs/1' })).linux.cgroupsPath).toBe('/jobs/1/abc');
  });

  it('names the package of a missing init', async () => {
    await expect(spec({ init: true })).rejects.toMatchObject({
      message: expect.stringContaining('apt-get install catatonit'),
    });
  });

  describe('devices', () => {
    it('come with a rule each', async () => {
      const devices = [{ pathOnHost: '/dev/null', pathInContainer: '/dev/nothing', permissions: 'r' }];
      const { linux } = await spec({ devices, deviceCgroupRules: ['c 42:* rw'] });
      expect(linux.devices).toEqual([
        expect.objectContaining({ path: '/dev/nothing', type: 'c', major: 1, minor: 3 }),
      ]);
      expect(linux.resources?.devices?.slice(-2)).toEqual([
        { allow: true, type: 'c', major: 1, minor: 3, access: 'r' },
        { allow: true, type: 'c', major: 42, minor: -1, access: 'rw' },
      ]);
      expect(linux.resources?.devices?.[0]).toEqual({ allow: false, access: 'rwm' });
    });

    it('have to exist and to be asked for in the right form', async () => {
      const device = { pathOnHost: '/dev/no-such-device', pathInContainer: '', permissions: 'rwm' };
      await expect(spec({ devices: [device] })).rejects.toMatchObject({ kind: 'invalid' });
      await expect(
        spec({ devices: [{ ...device, pathOnHost: '/dev/null', permissions: 'x' }] }),
      ).rejects.toMatchObject({ kind: 'invalid' });
      await expect(spec({ deviceCgroupRules: ['everything'] })).rejects.toMatchObject({ kind: 'invalid' });
    });

    it("are all the host's for the privileged", async () => {
      const { linux } = await spec({ privileged: true });
      expect(linux.devices?.map(({ path }) => path)).toContain('/dev/null');
      expect(linux.resources?.devices).toEqual([{ allow: true, access: 'rwm' }]);
    });
  });
});
