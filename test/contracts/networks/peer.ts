/**
 * A program that tests run inside network namespaces: `serve NAME PORT…` answers everything over TCP and UDP with
 * its name; `ask tcp|udp HOST PORT` prints the answer and where it came from; `resolve TYPE NAME` asks the
 * embedded resolver. Whatever fails prints its error's code.
 */
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const [command = '', ...args] = process.argv.slice(2);
try {
  if (command === 'serve') await serve(args[0] ?? '', args.slice(1).map(Number));
  else if (command === 'ask') console.log(await ask(args[0] ?? '', args[1] ?? '', Number(args[2])));
  else console.log(await resolve(args[0] ?? '', args[1] ?? ''));
} catch (error) {
  console.log((error as NodeJS.ErrnoException).code ?? String(error));
}

async function serve(name: string, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const tcp = createServer((client) => {
      client.on('error', () => {});
      client.end(`${name} ${client.remoteAddress}`);
    });
    tcp.listen(port, '0.0.0.0');
    await once(tcp, 'listening');
    const udp = createSocket('udp4');
    udp.on('message', (_, from) => udp.send(`${name} ${from.address}`, from.port, from.address));
    udp.bind(port, '0.0.0.0');
    await once(udp, 'listening');
  }
  console.log('ready');
}

async function ask(protocol: string, host: string, port: number): Promise<string> {
  const signal = AbortSignal.timeout(3_000);
  if (protocol === 'udp') {
    const socket = createSocket('udp4');
    socket.send('?', port, host);
    const [answer] = await once(socket, 'message', { signal }).finally(() => socket.close());
    return String(answer);
  }
  const socket = connect({ host, port, signal });
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  return answer;
}

async function resolve(type: string, name: string): Promise<string> {
  const resolver = new Resolver({ timeout: 2_000, tries: 1 });
  resolver.setServers(['127.0.0.11']);
  const answers = type === 'PTR' ? await resolver.reverse(name) : await resolver.resolve(name, type);
  return (answers as string[]).toSorted().join(' ');
}
