import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { relayPort } from '#pool/ports/port-relay.ts';

/** Other addresses of this machine's loopback stand for a gateway and a worker. */
const GATEWAY = '127.0.0.1';
const WORKER = '127.0.0.2';

it('passes connections on, each half for itself', async () => {
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    socket.end(`heard ${await text(socket)}`);
  }).listen(0, WORKER);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  let target: string | undefined = WORKER;
  await using _relay = await relayPort({ protocol: 'tcp', port }, () => target, GATEWAY);
  const client = connect(port, GATEWAY);
  client.end('a word');
  expect(await text(client)).toBe('heard a word');
  await expect(relayPort({ protocol: 'tcp', port }, () => WORKER, GATEWAY)).rejects.toThrow(
    'address already in use',
  );
  target = undefined;
  const unheard = connect(port, GATEWAY);
  unheard.on('error', () => {});
  await once(unheard, 'close');
  server.close();
});

it('brings datagrams to the worker, and answers to who sent them', async () => {
  const echo = createSocket('udp4', (message, from) => {
    echo.send(`heard ${message}`, from.port, from.address);
  });
  echo.bind(0, WORKER);
  await once(echo, 'listening');
  const { port } = echo.address();
  await using _relay = await relayPort({ protocol: 'udp', port }, () => WORKER, GATEWAY);
  const answers = await Promise.all(
    ['one', 'two'].map(async (word) => {
      const client = createSocket('udp4');
      const answered = once(client, 'message');
      // Datagrams may be lost: it says so again until it is answered.
      const again = setInterval(() => client.send(word, port, GATEWAY), 50);
      const [answer] = (await answered) as [Buffer];
      clearInterval(again);
      client.close();
      return answer.toString();
    }),
  );
  expect(answers).toEqual(['heard one', 'heard two']);
  echo.close();
});
