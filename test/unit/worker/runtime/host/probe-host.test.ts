import { describe, expect, it } from 'vitest';
import { missingParts } from '#worker/runtime/host/missing-parts.ts';
import { probeHost } from '#worker/runtime/host/probe-host.ts';
import { hostWith } from '../spec/host.ts';

describe('probeHost', () => {
  it('finds what this machine has', async () => {
    const host = await probeHost();
    expect(host.kernel.major).toBeGreaterThan(3);
    expect(host.capabilities.every((name) => name.startsWith('CAP_'))).toBe(true);
    expect(host.rlimits.get('RLIMIT_NOFILE')!.hard).toBeGreaterThan(0);
    expect(host.cgroup.controllers).not.toContain('rw');
    expect(host.tools.runc).toMatchObject({
      path: expect.stringMatching(/\/runc$/),
      version: expect.stringMatching(/^\d+\.\d+/),
    });
  });
});

describe('missingParts', () => {
  it('says what each is for and how to get it, the required first', () => {
    const { tools } = hostWith();
    const present = { ...tools.runc, path: '/usr/bin/x' };
    const conmon = { ...tools.conmon, package: 'conmon', purpose: 'watches' };
    const init = { ...tools.init, required: false };
    const host = hostWith({
      seccompProfile: '{}',
      tools: { runc: present, socat: present, iptables: present, git: present, conmon, init },
    });
    expect(missingParts(host)).toEqual([
      { name: 'conmon', purpose: 'watches', required: true, remedy: 'apt-get install conmon' },
      { name: 'init', purpose: '', required: false, remedy: 'apt-get install catatonit' },
    ]);
  });

  it('knows more than packages', () => {
    const host = hostWith({ overlay: false, capabilities: [], seccompProfile: undefined });
    expect(missingParts(host).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['overlayfs', 'root', 'seccomp profile']),
    );
  });
});
