import { describe, expect, test } from 'vitest';
import type { FirewallState } from '#worker/networks/firewall/firewall.ts';
import { removeInput, restoreInput, rulesOf } from '#worker/networks/firewall/rules.ts';

const network = {
  bridge: 'br0',
  subnet: '10.0.0.0/24',
  internal: false,
  masquerade: true,
  interContainer: true,
};
const port = {
  protocol: 'tcp',
  hostIp: '0.0.0.0',
  hostPort: 8080,
  address: '10.0.0.2',
  containerPort: 80,
} as const;
const state: FirewallState = { networks: [network], ports: [port] };

describe('packet filter rules', () => {
  test('of a network with a published port', () => {
    expect(restoreInput('SW', new Map(), rulesOf('SW', state), ['POSTROUTING -j SW-SNAT'])).toBe(`*nat
:SW-DNAT - [0:0]
-A SW-DNAT -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80
:SW-SNAT - [0:0]
-I POSTROUTING -j SW-SNAT
-A SW-SNAT -s 10.0.0.0/24 ! -o br0 -j MASQUERADE
-A SW-SNAT -s 10.0.0.0/24 -o br0 -m conntrack --ctstate DNAT -j MASQUERADE
-A SW-SNAT -s 127.0.0.0/8 -o br0 -j MASQUERADE
COMMIT
*filter
:SW-FORWARD - [0:0]
-A SW-FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
-A SW-FORWARD -i br0 -o br0 -j ACCEPT
-A SW-FORWARD ! -i br0 -o br0 -j DROP
-A SW-FORWARD -i br0 -j ACCEPT
:SW-INPUT - [0:0]
-A SW-INPUT -d 127.0.0.0/8 -i br0 -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP
COMMIT
`);
  });

  test('of a network whose containers may not send to the workers’ tunnels', () => {
    const rules = rulesOf('SW', {
      networks: [network, { ...network, bridge: 'br1', tunnelPort: 4789 }],
      ports: [],
    });
    const drop = '-i br1 -p udp -m udp --dport 4789 -j DROP';
    // Before whatever lets packets out.
    expect(rules.get('SW-FORWARD')![0]).toBe(drop);
    expect(rules.get('SW-INPUT')!.filter((rule) => rule.includes('4789'))).toEqual([drop]);
  });

  test('one more port is appended, one less rewrites its chain alone', () => {
    const before = rulesOf('SW', state);
    const second = { ...port, hostIp: '127.0.0.1', hostPort: 8081 };
    const more = rulesOf('SW', { ...state, ports: [port, second] });
    expect(restoreInput('SW', before, more, [])).toBe(
      '*nat\n-A SW-DNAT -d 127.0.0.1/32 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.0.0.2:80\nCOMMIT\n',
    );
    expect(restoreInput('SW', more, rulesOf('SW', { ...state, ports: [second] }), [])).toBe(
      '*nat\n:SW-DNAT - [0:0]\n-A SW-DNAT -d 127.0.0.1/32 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.0.0.2:80\nCOMMIT\n',
    );
    expect(restoreInput('SW', before, before, [])).toBe('');
  });

  test('being let out of one network never comes before being kept out of another', () => {
    const networks = [network, { ...network, bridge: 'br1', internal: true }, { ...network, bridge: 'br2' }];
    const forward = rulesOf('SW', { networks, ports: [] }).get('SW-FORWARD') ?? [];
    const lastInward = forward.findLastIndex((rule) => rule.includes(' -o '));
    const firstOutward = forward.findIndex((rule) => /^-i \S+ -j/.test(rule));
    expect(firstOutward).toBe(lastInward + 1);
    expect(forward).toContain('-i br1 -j DROP');
    expect(forward).not.toContain('-o br1 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT');
  });

  test('all of it is taken away again', () => {
    expect(removeInput('SW', ['FORWARD -j SW-FORWARD'])).toContain(
      '-D FORWARD -j SW-FORWARD\n-X SW-FORWARD\n',
    );
    expect(removeInput('SW', [])).not.toContain('-D ');
  });
});
