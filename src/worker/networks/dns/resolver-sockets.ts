import { closeSync } from 'node:fs';
import { boundSocket } from '../linux/bound-socket.ts';
import { runCommand } from '../linux/command.ts';
import { SOCK_DGRAM, SOCK_STREAM } from '../linux/libc.ts';
import { insideNamespace } from '../linux/namespace.ts';
import { EMBEDDED_RESOLVER } from './resolv-conf.ts';

/** File descriptors of two sockets inside a namespace, bound to one port of the resolver's address. */
export interface ResolverSockets {
  readonly udp: number;
  readonly tcp: number;
}

const CHAIN = 'SLIPWAY-DNS';

/**
 * Opens the resolver's sockets inside a container's namespace. They take any port, and the namespace's own NAT
 * leads port 53 of that one address there: port 53 itself stays free for the container's programs. `fresh` says
 * that nobody has done this in that namespace before.
 */
export async function openResolverSockets(namespace: string, fresh: boolean): Promise<ResolverSockets> {
  const { port, ...sockets } = insideNamespace(namespace, bindAnyPort);
  try {
    const inside = (command: string, args: readonly string[], input?: string) =>
      // The process is started while this thread is inside, and stays there.
      insideNamespace(namespace, () => runCommand(command, args, input));
    const hooked = !fresh && (await inside('iptables-save', ['-t', 'nat'])).includes(`-j ${CHAIN}`);
    await inside('iptables-restore', ['-w', '10', '--noflush'], natRules(port, hooked));
    return sockets;
  } catch (error) {
    for (const fd of [sockets.udp, sockets.tcp]) closeSync(fd);
    throw error;
  }
}

function natRules(port: number, hooked: boolean): string {
  const rule = (protocol: string) =>
    `-A ${CHAIN} -p ${protocol} -m ${protocol} --dport 53 -j DNAT --to-destination ${EMBEDDED_RESOLVER}:${port}`;
  const hook = hooked ? [] : [`-I OUTPUT -d ${EMBEDDED_RESOLVER}/32 -j ${CHAIN}`];
  return ['*nat', `:${CHAIN} - [0:0]`, ...hook, rule('udp'), rule('tcp'), 'COMMIT', ''].join('\n');
}

function bindAnyPort(): ResolverSockets & { port: number } {
  for (let attempt = 0; ; attempt++) {
    const port = 32_768 + Math.floor(Math.random() * 28_000);
    const opened: number[] = [];
    try {
      for (const type of [SOCK_DGRAM, SOCK_STREAM]) opened.push(boundSocket(type, EMBEDDED_RESOLVER, port));
      const [udp, tcp] = opened as [number, number];
      return { udp, tcp, port };
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      if (attempt === 20) throw error;
    }
  }
}
