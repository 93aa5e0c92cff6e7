import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ContainerEngine } from './container-engine.ts';

/** A hijacked connection, as attach and exec give it. */
export interface Conversation {
  readonly contentType: string;
  readonly connection: Duplex;
  /** Everything that came, demultiplexed unless `raw`; resolves at the connection's end. */
  read(): Promise<{ stdout: string; stderr: string }>;
}

/** Asks for an upgrade and gives the connection that comes of it. Throws for any other reply. */
export async function converse(engine: ContainerEngine, path: string, body?: object): Promise<Conversation> {
  const payload = body === undefined ? '' : JSON.stringify(body);
  const request = httpRequest({
    socketPath: engine.socket,
    method: 'POST',
    path: `/v1.51${path}`,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'tcp',
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(payload),
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<Conversation>();
  request.on('error', reject);
  request.on('response', (response) => {
    response.resume();
    reject(new Error(`status ${response.statusCode}`));
  });
  request.on('upgrade', (response, connection, head) => {
    if (head.length > 0) connection.unshift(head);
    const contentType = response.headers['content-type'] ?? '';
    resolve({ contentType, connection, read: () => readAll(connection, contentType.includes('raw')) });
  });
  request.end(payload);
  return promise;
}

async function readAll(connection: Duplex, raw: boolean): Promise<{ stdout: string; stderr: string }> {
  const chunks: Buffer[] = [];
  connection.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(connection, 'end');
  const bytes = Buffer.concat(chunks);
  return raw ? { stdout: bytes.toString('utf8'), stderr: '' } : demultiplex(bytes);
}

export function demultiplex(bytes: Buffer): { stdout: string; stderr: string } {
  const outputs = { stdout: '', stderr: '' };
  for (let offset = 0; offset < bytes.length; ) {
    const length = bytes.readUInt32BE(offset + 4);
    const name = bytes[offset] === 2 ? 'stderr' : 'stdout';
    outputs[name] += bytes.toString('utf8', offset + 8, offset + 8 + length);
    offset += 8 + length;
  }
  return outputs;
}

/** Creates a container of busybox; answers its id. */
export async function create(engine: ContainerEngine, config: object, query = ''): Promise<string> {
  const reply = await engine.request('POST', `/containers/create${query}`, { Image: 'busybox', ...config });
  if (reply.status !== 201) throw new Error(`create: ${reply.status} ${reply.text}`);
  return reply.json.Id;
}

export async function start(engine: ContainerEngine, id: string): Promise<void> {
  const reply = await engine.request('POST', `/containers/${id}/start`);
  if (reply.status !== 204) throw new Error(`start: ${reply.status} ${reply.text}`);
}

export async function createAndStart(engine: ContainerEngine, config: object, query = ''): Promise<string> {
  const id = await create(engine, config, query);
  await start(engine, id);
  return id;
}

/** Runs a shell script to its end; answers its exit code and its output. */
export async function run(engine: ContainerEngine, script: string, config: object = {}) {
  const id = await createAndStart(engine, { Cmd: ['sh', '-c', script], ...config });
  const { json } = await engine.request('POST', `/containers/${id}/wait`);
  return { id, code: json.StatusCode as number, ...(await logsOf(engine, id)) };
}

export async function logsOf(
  engine: ContainerEngine,
  id: string,
  query = '',
): Promise<{ stdout: string; stderr: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const request = httpRequest(
    { socketPath: engine.socket, path: `/v1.51/containers/${id}/logs?${query}&stdout=1&stderr=1` },
    (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
      response.on('error', reject);
    },
  );
  request.on('error', reject);
  request.end();
  return demultiplex(await promise);
}
