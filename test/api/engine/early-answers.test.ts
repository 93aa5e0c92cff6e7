import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ContainerEngine } from './container-engine.ts';
import { create } from './engine-client.ts';

let engine: ContainerEngine;
beforeAll(async () => {
  engine = await ContainerEngine.start();
  await create(engine, { Cmd: ['true'] }, '?name=early');
});
afterAll(() => engine[Symbol.asyncDispose]());

const PIECE = Buffer.alloc(1024 * 1024, 'not a tar ');

/** Sends `pieces` MiB however early the answer comes, as Go's clients do, and gives what was answered. */
async function insist(method: string, path: string, pieces: number): Promise<string> {
  const socket = connect(engine.socket);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString('utf8');
  });
  const closed = once(socket, 'close');
  socket.write(
    `${method} /v1.51${path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${pieces * PIECE.length}\r\n\r\n`,
  );
  for (let piece = 0; piece < pieces; piece++) {
    if (piece === pieces - 1) await delay(100);
    const writing = Promise.withResolvers<void>();
    socket.write(PIECE, (error) => (error ? writing.reject(error) : writing.resolve()));
    await writing.promise;
  }
  while (!answer.includes('\r\n\r\n')) await once(socket, 'data');
  socket.end();
  await closed;
  return answer;
}

describe('an answer that is clear before the body has come reaches a client that goes on sending', () => {
  it.each([
    [
      'files for a container that is not there',
      'PUT',
      '/containers/nosuch/archive?path=/',
      404,
      'No such container',
    ],
    ['files that are no archive', 'PUT', '/containers/early/archive?path=/', 400, 'tar'],
    ['a body that is too large', 'POST', '/containers/create', 413, 'request body is larger than'],
    ['no route', 'POST', '/nosuch', 404, 'page not found'],
  ])('%s', async (_, method, path, status, message) => {
    const answer = await insist(method, path, 16);
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer).toContain(message);
  });
});
