import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6 } from 'node:net';
import { TcpFrames, tcpFrame } from './tcp-frames.ts';

const TIMEOUT_MS = 4_000;

/** Asks servers one after another, in the way that we were asked; undefined when none answers. */
export async function forward(
  query: Buffer,
  servers: readonly string[],
  transport: 'udp' | 'tcp',
): Promise<Buffer | undefined> {
  for (const server of servers) {
    const ask = transport === 'udp' ? askByUdp : askByTcp;
    const answer = await ask(query, server, AbortSignal.timeout(TIMEOUT_MS)).catch(() => undefined);
    if (answer) return answer;
  }
  return undefined;
}

/** A port of its own for each question makes answers hard to forge. */
async function askByUdp(query: Buffer, server: string, signal: AbortSignal): Promise<Buffer> {
  const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
  try {
    socket.connect(53, server);
    await once(socket, 'connect', { signal });
    socket.send(query);
    for (;;) {
      const [answer] = (await once(socket, 'message', { signal })) as [Buffer];
      if (answers(answer, query)) return answer;
    }
  } finally {
    socket.close();
  }
}

async function askByTcp(query: Buffer, server: string, signal: AbortSignal): Promise<Buffer | undefined> {
  const socket = connect({ host: server, port: 53, signal });
  try {
    socket.write(tcpFrame(query));
    const frames = new TcpFrames();
    for await (const chunk of socket) {
      for (const answer of frames.push(chunk)) if (answers(answer, query)) return answer;
    }
    return undefined;
  } finally {
    socket.destroy();
  }
}

const answers = (answer: Buffer, query: Buffer) =>
  answer.length >= 12 && answer.readUInt16BE(0) === query.readUInt16BE(0);
