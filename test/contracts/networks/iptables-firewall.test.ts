import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FirewallState } from '#worker/networks/firewall/firewall.ts';
import { IptablesFirewall } from '#worker/networks/firewall/iptables-firewall.ts';
import { runCommand } from '#worker/networks/linux/command.ts';

describe('the packet filter through iptables', () => {
  let prefix: string;
  let state: { networks: FirewallState['networks'][number][]; ports: FirewallState['ports'][number][] };
  let firewall: IptablesFirewall;
  beforeEach(() => {
    prefix = `TEST${randomBytes(3).toString('hex').toUpperCase()}`;
    const network = {
      bridge: 'nosuchbr0',
      subnet: '198.51.100.0/24',
      internal: false,
      masquerade: true,
      interContainer: true,
    };
    state = { networks: [network], ports: [] };
    firewall = new IptablesFirewall({ prefix, state: () => state });
  });
  afterEach(() => firewall.remove());

  const port = (hostPort: number) => {
    return {
      protocol: 'tcp',
      hostIp: '192.0.2.1',
      hostPort,
      address: '198.51.100.2',
      containerPort: 80,
    } as const;
  };
  const ours = async () => {
    const tables = await Promise.all(
      ['nat', 'filter'].map((table) => runCommand('iptables-save', ['-t', table])),
    );
    return tables
      .join('')
      .split('\n')
      .filter((line) => line.startsWith('-A') && line.includes(prefix));
  };
  const forwarded = async () =>
    (await ours())
      .filter((rule) => rule.includes('DNAT --to'))
      .map((rule) => /--dport (\d+)/.exec(rule)?.[1]);

  test('rules come and go with the state', async () => {
    state.ports.push(port(1));
    await firewall.sync();
    const first = await ours();
    state.ports.push(port(2), port(3));
    await Promise.all([firewall.sync(), firewall.sync(), firewall.sync()]);
    expect(await forwarded()).toEqual(['1', '2', '3']);
    state.ports.splice(0, 2);
    await firewall.sync();
    expect(await forwarded()).toEqual(['3']);
    state.ports.splice(0, 1, port(1));
    await firewall.sync();
    expect(await ours()).toEqual(first);
    await firewall.remove();
    expect(await ours()).toEqual([]);
  });

  test('the next process takes over without doubling anything', async () => {
    state.ports.push(port(1));
    await firewall.sync();
    const first = await ours();
    await new IptablesFirewall({ prefix, state: () => state }).sync();
    expect(await ours()).toEqual(first);
  });

  test('what somebody flushed comes back', async () => {
    state.ports.push(port(1));
    await firewall.sync();
    const first = await ours();
    await firewall.repair();
    expect(await ours()).toEqual(first);
    await runCommand('iptables', ['-w', '-D', 'FORWARD', '-j', `${prefix}-FORWARD`]);
    await runCommand('iptables', ['-w', '-t', 'nat', '-F', `${prefix}-DNAT`]);
    await firewall.repair();
    expect((await ours()).toSorted()).toEqual(first.toSorted());
  });

  test('a run that failed does not spoil the next', async () => {
    state.ports.push({ ...port(1), hostPort: 99_999 });
    await expect(firewall.sync()).rejects.toThrow(/iptables-restore failed .*99999/s);
    state.ports.splice(0, 1, port(2));
    await firewall.sync();
    expect(await forwarded()).toEqual(['2']);
  });
});
