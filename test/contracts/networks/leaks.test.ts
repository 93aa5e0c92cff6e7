import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Lab } from './lab.ts';

const run = promisify(execFile);

/** What the host has of a lab: its interfaces, its rules, its namespaces. */
async function tracesOf(lab: Lab): Promise<string[]> {
  const { stdout: links } = await run('ip', ['-oneline', 'link']);
  const { stdout: rules } = await run('iptables-save');
  const { stdout: mounts } = await run('cat', ['/proc/self/mounts']);
  const ours = (line: string) =>
    [lab.bridge, lab.bridge.toUpperCase(), lab.directory].some((mark) => line.includes(mark));
  return [links, rules, mounts].flatMap((text) => text.split('\n').filter(ours));
}

describe('nothing stays behind', () => {
  test('after the last container and the worker have gone', async () => {
    const lab = await Lab.open();
    const network = await lab.networks.create({ name: 'kept' });
    const [one, two] = await Promise.all([
      lab.attach('one', { ports: [{ containerPort: 80, protocol: 'tcp', hostIp: '' }] }),
      lab.attach('two', { endpoints: [{ network: 'kept' }] }),
    ]);
    expect((await tracesOf(lab)).length).toBeGreaterThan(5);
    for (const { containerId } of [one, two]) await lab.networks.detach(containerId);
    await lab[Symbol.asyncDispose]();
    expect(await tracesOf(lab)).toEqual([]);
    expect((await run('ip', ['link'])).stdout).not.toContain(network.bridge);
  });

  test('of containers that died while the worker was away; the living keep their network', async () => {
    await using lab = await Lab.open();
    const live = await lab.attach('live', { ports: [{ containerPort: 80, protocol: 'tcp', hostIp: '' }] });
    await lab.serve(live, 'live', 80);
    await lab.attach('dead', { ports: [{ containerPort: 80, protocol: 'tcp', hostIp: '' }] });
    // What a crash in the middle of an attach leaves: a namespace that nobody knows.
    await lab.run({ ...live, namespace: '/proc/self/ns/net' }, 'true');
    const namespaces = join(lab.directory, 'netns');
    const { createNamespace } = await import('#worker/networks/linux/namespace.ts');
    createNamespace(join(namespaces, 'orphan'));
    await lab.networks.stop();
    await lab.restart([live.containerId]);
    expect(readdirSync(namespaces)).toHaveLength(1);
    expect(
      (await lab.networks.inspect('bridge')).endpoints.map(({ record }) => record.containerName),
    ).toEqual(['live']);
    expect(await lab.ask('host', 'tcp', '127.0.0.1', live.ports[0]?.hostPort ?? 0)).toMatch(/^live /);
    const next = await lab.attach('next');
    expect(next.endpoints[0]?.ipv4Address).not.toBe(live.endpoints[0]?.ipv4Address);
  });

  test('of an attach that failed', async () => {
    await using lab = await Lab.open();
    const port = { containerPort: 80, protocol: 'tcp', hostIp: '203.0.113.9' } as const;
    await expect(lab.attach('nowhere', { ports: [port] })).rejects.toThrow('cannot assign requested address');
    await expect(lab.attach('lost', { endpoints: [{ network: 'missing' }] })).rejects.toThrow(
      'network missing not found',
    );
    expect((await lab.networks.inspect('bridge')).endpoints).toEqual([]);
  });
});
