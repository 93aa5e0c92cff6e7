import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Lab } from '../networks/lab.ts';
import { DriversWorld } from './drivers-world.ts';

describe('commands on the network', () => {
  it('have a namespace and an address each, which go with them', async () => {
    await using lab = await Lab.open();
    await using world = await DriversWorld.open({ sandboxes: lab.networks });
    const base = await world.busybox();
    const script =
      'sleep 0.5; ip -4 -o addr show eth0; grep -c buildkitsandbox /etc/hosts; cat /etc/resolv.conf';
    await Promise.all([1, 2].map(() => world.sh(base, script, { network: 'default' })));
    const addresses = world.output.match(/inet (\d+\.\d+\.\d+\.\d+)/g) ?? [];
    expect(addresses).toHaveLength(2);
    expect(new Set(addresses).size).toBe(2);
    expect(world.output).toContain('nameserver');
    await expect(world.sh(base, 'true', { network: 'no-such-network' })).rejects.toMatchObject({
      kind: 'not-found',
    });
    const running = world.sh(base, 'sleep 100', { network: 'default' });
    setTimeout(() => world.cancel(), 500);
    await expect(running).rejects.toThrow();
    expect(lab.events.filter(({ action }) => action === 'connect')).toHaveLength(3);
    expect(lab.events.filter(({ action }) => action === 'disconnect')).toHaveLength(3);
  });
});

describe('what a killed worker left', () => {
  it('goes at the next start, and what is kept stays', async () => {
    await using world = await DriversWorld.open();
    const base = await world.busybox();
    const cache = { type: 'cache', dest: '/cache', id: 'kept', sharing: 'shared' } as const;
    await world.sh(base, 'echo kept > /cache/file', { mounts: [cache] });
    await world.drivers.cacheMounts.settled();
    const mounts = join(world.root, 'builder/mounts');
    const parent = await world.drivers.layers.require(base, { signal: world.context.signal });
    const mount = await world.snapshotter.prepare('build-abandoned', parent);
    await world.snapshotter.prepare('cache-mount-abandoned');
    await mkdir(join(mounts, 'left'), { recursive: true });
    await world.mounter.mount(mount, join(mounts, 'left'));
    await mkdir(join(world.root, 'builder/steps/left/own'), { recursive: true });
    await mkdir(join(world.root, 'builder/checkouts/left'), { recursive: true });
    await writeFile(join(world.root, 'builder/steps/left/own/secret'), 'secret');
    expect(await world.leftovers()).not.toEqual([]);
    await world.drivers.reconcile();
    expect(await world.leftovers()).toEqual([]);
    expect(await readdir(join(world.root, 'builder'))).not.toContain('checkouts');
    expect(await world.snapshotter.stat('cache-mount-abandoned')).toBeUndefined();
    expect(await world.ask(base, 'cat /cache/file', { mounts: [cache] })).toBe('kept\n');
  });
});
