import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import { duplexPair } from 'node:stream';
import { pino } from 'pino';
import { afterEach, expect, it } from 'vitest';
import { GrpcClient } from '#worker/buildkit/grpc/grpc-client.ts';
import { Code, GrpcError, toGrpcError } from '#worker/buildkit/grpc/grpc-error.ts';
import { GrpcServer } from '#worker/buildkit/grpc/grpc-server.ts';
import { Auth } from '#worker/buildkit/proto/github.com/moby/buildkit/session/auth/auth_pb.ts';
import { ClientTokens, SharedTokens } from '#worker/buildkit/session/client-tokens.ts';

const { signal } = new AbortController();
const request = { realm: 'http://tokens/', service: 'here', scopes: ['repository:a:pull'] };
const open: { close(): void }[] = [];

afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

interface Answers {
  /** Which key it says it has; undefined: it fetches no tokens. */
  readonly claims?: KeyObject;
  readonly has?: KeyObject;
  /** Of somebody without credentials, whose key anybody can make. */
  readonly anonymous?: boolean;
  readonly fetch?: () => string;
}

/** A client that answers so, and what it was asked. */
function client({ claims, has, anonymous, fetch = () => 'token' }: Answers) {
  const asked: string[] = [];
  const [ours, theirs] = duplexPair();
  const server = new GrpcServer({ toError: toGrpcError, log: pino({ level: 'silent' }) }).add(Auth, {
    async getTokenAuthority({ Salt: salt }) {
      asked.push('authority');
      if (anonymous) return { PublicKey: publicKeyOfSeed(createHmac('sha256', salt).digest()) };
      if (!claims) throw new GrpcError(Code.unavailable, 'client side tokens disabled');
      return { PublicKey: raw(claims) };
    },
    async verifyTokenAuthority({ Payload: payload }) {
      asked.push('proof');
      return { Signed: Buffer.concat([sign(null, payload, has!), payload]) };
    },
    async fetchToken({ Realm, Service, Scopes }) {
      asked.push(`fetch ${Realm} ${Service} ${Scopes.join(' ')}`);
      return { Token: fetch(), ExpiresIn: 300n };
    },
  });
  server.accept(theirs);
  const grpc = new GrpcClient(ours);
  open.push(grpc, server);
  return { asked, grpc };
}

function raw(publicKey: KeyObject): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
}

function publicKeyOfSeed(seed: Buffer): Buffer {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return raw(createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })));
}

it('are fetched once for all builds of whoever proves to have the same credentials', async () => {
  const { publicKey: claims, privateKey: has } = generateKeyPairSync('ed25519');
  const shared = new SharedTokens();
  const first = client({ claims, has, fetch: () => 'of the first' });
  const tokens = new ClientTokens(first.grpc, shared);
  expect(await tokens.token('host', request, { signal })).toMatchObject({ token: 'of the first' });
  expect(first.asked).toEqual(['authority', 'fetch http://tokens/ here repository:a:pull']);
  const second = client({ claims, has, fetch: () => 'of the second' });
  const again = new ClientTokens(second.grpc, shared);
  expect(await again.token('host', request, { signal })).toMatchObject({ token: 'of the first' });
  expect(second.asked).toEqual(['authority', 'proof']);
  // Other scopes, another host, and one that the registry does not take any more.
  for (const [host, more] of [
    ['host', { scopes: ['repository:b:pull'] }],
    ['other', {}],
    ['host', { refused: 'of the first' }],
  ] as const) {
    const other = await again.token(host, { ...request, ...more }, { signal });
    expect(other).toMatchObject({ token: 'of the second' });
  }
});

it("are not given to who names another's key and cannot sign with it", async () => {
  const { publicKey: claims, privateKey: has } = generateKeyPairSync('ed25519');
  const shared = new SharedTokens();
  const owner = new ClientTokens(client({ claims, has, fetch: () => 'secret' }).grpc, shared);
  await owner.token('host', request, { signal });
  const thief = client({ claims, has: generateKeyPairSync('ed25519').privateKey, fetch: () => 'its own' });
  const stolen = await new ClientTokens(thief.grpc, shared).token('host', request, { signal });
  expect(stolen).toMatchObject({ token: 'its own' });
});

it('are left to us by a client that was told so, or that cannot get them and needs no password', async () => {
  const off = new ClientTokens(client({}).grpc, new SharedTokens());
  expect(await off.token('host', request, { signal })).toBeUndefined();
  const fail = () => {
    throw new GrpcError(Code.unknown, 'connection refused');
  };
  const anonymous = new ClientTokens(client({ anonymous: true, fetch: fail }).grpc, new SharedTokens());
  expect(await anonymous.token('host', request, { signal })).toBeUndefined();
  const { publicKey: claims, privateKey: has } = generateKeyPairSync('ed25519');
  const known = new ClientTokens(client({ claims, has, fetch: fail }).grpc, new SharedTokens());
  await expect(known.token('host', request, { signal })).rejects.toThrow('connection refused');
});
