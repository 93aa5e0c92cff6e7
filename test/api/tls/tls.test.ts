import { readFileSync } from 'node:fs';
import { copyFile, rename, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect as connectPlain } from 'node:net';
import { text } from 'node:stream/consumers';
import { type ConnectionOptions, connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import Koa from 'koa';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CertificateFiles } from '#registry/http/certificate-files.ts';
import { closeServer, createRegistryServer } from '#registry/http/registry-server.ts';
import { TestAuthority } from '#test/registry/certificates.ts';

let authority: TestAuthority;
let ca: Buffer;
beforeAll(async () => {
  authority = await TestAuthority.create();
  ca = await authority.ca();
  for (const name of ['one', 'two', 'client']) await authority.issue(name);
});
afterAll(() => authority[Symbol.asyncDispose]());

interface Served extends AsyncDisposable {
  readonly port: number;
  readonly files: CertificateFiles;
  readonly log: string[];
}

/** A server that shows the certificate `as.pem`, at first a copy of `one`. */
async function serve(as: string, options: { clientCa?: boolean } = {}): Promise<Served> {
  await show('one', as);
  const log: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => log.push(JSON.parse(line).msg) });
  const files = new CertificateFiles(
    {
      certificate: authority.path(`${as}.pem`),
      key: authority.path(`${as}.key`),
      clientCa: options.clientCa ? authority.path('ca.pem') : null,
    },
    logger,
  );
  const app = new Koa();
  app.use(async (ctx) => {
    ctx.body = ctx.path === '/slow' ? ctx.req : `${ctx.protocol} ${ctx.path}`;
  });
  const server = createRegistryServer(app, { certificates: files });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    files,
    log,
    async [Symbol.asyncDispose]() {
      files[Symbol.dispose]();
      await closeServer(server, 0);
    },
  };
}

/** Replaces a certificate and its key as tools do: each file at once, one after the other. */
async function show(name: string, as: string): Promise<void> {
  for (const kind of ['pem', 'key']) {
    await copyFile(authority.path(`${name}.${kind}`), authority.path(`${as}.${kind}.new`));
    await rename(authority.path(`${as}.${kind}.new`), authority.path(`${as}.${kind}`));
  }
}

function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca, ...options });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

async function shown(port: number): Promise<string> {
  const socket = await handshake(port);
  const { subject } = socket.getPeerCertificate() as PeerCertificate;
  socket.destroy();
  return String(subject.CN);
}

function get(port: number, agent: Agent, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, agent, path }, (response) => text(response).then(resolve, reject))
      .once('error', reject)
      .end();
  });
}

describe('a server with a certificate', () => {
  it('speaks HTTP/1.1 in TLS 1.2 and 1.3', async () => {
    await using served = await serve('versions');
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await handshake(served.port, {
        minVersion: version,
        maxVersion: version,
        ALPNProtocols: ['h2', 'http/1.1'],
      });
      expect([socket.getProtocol(), socket.alpnProtocol]).toEqual([version, 'http/1.1']);
      socket.destroy();
    }
    const agent = new Agent({ ca });
    expect(await get(served.port, agent)).toBe('https /');
    agent.destroy();
  });

  it('refuses what is older, and plain HTTP', async () => {
    await using served = await serve('old');
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    await expect(handshake(served.port, old)).rejects.toThrow();
    const plain = connectPlain(served.port, '127.0.0.1');
    plain.on('error', () => {});
    plain.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const answer = await text(plain).catch(() => '');
    expect(answer).not.toMatch(/^HTTP\/1.1 200/);
  });

  it('asks clients for a certificate of the CA that is set', async () => {
    await using served = await serve('mutual', { clientCa: true });
    const stranger = new Agent({ ca });
    await expect(get(served.port, stranger)).rejects.toThrow();
    const [cert, key] = [authority.path('client.pem'), authority.path('client.key')];
    const known = new Agent({ ca, cert: readFileSync(cert), key: readFileSync(key) });
    expect(await get(served.port, known)).toBe('https /');
    for (const agent of [stranger, known]) agent.destroy();
  });
});

describe('a certificate whose files change', () => {
  it('is replaced under load: no request fails, connections go on', async () => {
    await using served = await serve('reload');
    const kept = await handshake(served.port);
    const agent = new Agent({ ca, keepAlive: false });
    let [going, requests] = [true, 0];
    const load = Array.from({ length: 4 }, async () => {
      while (going) {
        expect(await get(served.port, agent, '/load')).toBe('https /load');
        requests++;
      }
    });
    for (const name of ['two', 'one', 'two']) {
      await show(name, 'reload');
      await vi.waitFor(async () => expect(await shown(served.port)).toBe(name), 10_000);
    }
    going = false;
    await Promise.all(load);
    expect(requests).toBeGreaterThan(10);
    expect(served.log.filter((line) => line === 'took a new certificate')).toHaveLength(3);

    // The connection from before is still answered.
    kept.write('GET /kept HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(await text(kept)).toMatch(/^HTTP\/1.1 200 [\s\S]*https \/kept$/);
    agent.destroy();
  });

  it('stays when what comes is not usable', async () => {
    await using served = await serve('broken');
    const until = served.files.expiresAt;
    for (const [file, content] of [
      ['broken.key', 'nonsense'],
      ['broken.pem', ''],
    ] as const) {
      await writeFile(authority.path(file), content);
      served.files.reload();
      expect(await shown(served.port)).toBe('one');
    }
    // A key that is not the certificate's.
    await show('one', 'broken');
    await copyFile(authority.path('two.key'), authority.path('broken.key'));
    served.files.reload();
    expect(await shown(served.port)).toBe('one');
    expect(served.files.expiresAt).toBe(until);
    expect(new Set(served.log)).toEqual(
      new Set(['the certificate files are not usable; the certificate before stays']),
    );
    await show('two', 'broken');
    served.files.reload();
    expect(await shown(served.port)).toBe('two');
  });
});

it.each([
  ['nowhere.pem', 'one.key', /cannot read .*nowhere\.pem: ENOENT/],
  ['one.pem', 'two.key', /are no certificate and its key: .*mismatch/],
  ['one.key', 'one.key', /are no certificate and its key/],
])('%s and %s are refused at the start', (certificate, key, message) => {
  const paths = { certificate: authority.path(certificate), key: authority.path(key), clientCa: null };
  expect(() => new CertificateFiles(paths, pino({ level: 'silent' }))).toThrow(message);
});

it('lets nobody connect whom it does not admit', async () => {
  const app = new Koa();
  app.use(async (ctx) => {
    ctx.body = 'hello';
  });
  const server = createRegistryServer(app, { admits: (address) => address !== '127.0.0.1' });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  await closeServer(server, 0);
});
