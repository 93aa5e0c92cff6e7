import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

/** A small OpenID provider on loopback: discovery, keys, and the authorization code flow with PKCE. */
export interface TestIssuer extends AsyncDisposable {
  readonly url: string;
  /** How often each path was asked for. */
  readonly requests: Map<string, number>;
  /** What discovery says, to be changed by tests. */
  readonly document: Record<string, unknown>;
  /** A token with these claims; `iss`, `iat` and `exp` are filled in. */
  token(claims: JWTPayload, header?: Record<string, unknown>): Promise<string>;
  /** Signs with another key from now on, under another id. */
  rotate(): Promise<void>;
  /** Answers a path in another way. */
  on(path: string, handler: (request: IncomingMessage, response: ServerResponse) => void): void;
  /** Who logs in at the authorization endpoint: the claims of their ID token. */
  person: JWTPayload;
}

export async function startIssuer(): Promise<TestIssuer> {
  const handlers = new Map<string, (request: IncomingMessage, response: ServerResponse) => unknown>();
  const requests = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = request.url!.split('?')[0]!;
    requests.set(path, (requests.get(path) ?? 0) + 1);
    const handler = handlers.get(path);
    if (handler) void handler(request, response);
    else sendJson(response, 404, {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const keys = await newKeys('first');
  let current = keys;
  let number = 0;
  const published: JWK[] = [keys.jwk];
  const document = {
    issuer: url,
    jwks_uri: `${url}/keys`,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/oauth/token`,
  };
  handlers.set('/.well-known/openid-configuration', (_, response) => sendJson(response, 200, document));
  handlers.set('/keys', (_, response) => sendJson(response, 200, { keys: published }));

  const issuer: TestIssuer = {
    url,
    requests,
    document,
    person: { sub: 'person-1', preferred_username: 'grace' },
    token: async (claims, header = {}) => {
      const now = Math.floor(Date.now() / 1000);
      return await new SignJWT({ iss: url, iat: now, exp: now + 300, ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: current.jwk.kid!, ...header })
        .sign(current.privateKey);
    },
    rotate: async () => {
      current = await newKeys(`key-${++number}`);
      published.splice(0, published.length, current.jwk);
    },
    on: (path, handler) => handlers.set(path, handler),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  authorizationCodeFlow(issuer, handlers);
  return issuer;
}

/** RFC 6749, 4.1, with RFC 7636: who is asked consents at once. */
function authorizationCodeFlow(
  issuer: TestIssuer,
  handlers: Map<string, (request: IncomingMessage, response: ServerResponse) => unknown>,
): void {
  const codes = new Map<string, URLSearchParams>();
  handlers.set('/authorize', (request, response) => {
    const query = new URL(request.url!, issuer.url).searchParams;
    const code = `code-${codes.size}`;
    codes.set(code, query);
    const back = new URL(query.get('redirect_uri')!);
    back.searchParams.set('code', code);
    back.searchParams.set('state', query.get('state')!);
    response.writeHead(302, { Location: back.href }).end();
  });
  handlers.set('/oauth/token', async (request, response) => {
    const form = new URLSearchParams((await buffer(request)).toString());
    const query = codes.get(form.get('code') ?? '');
    codes.delete(form.get('code') ?? '');
    const verifier = Buffer.from(
      await crypto.subtle.digest('SHA-256', Buffer.from(form.get('code_verifier') ?? '')),
    ).toString('base64url');
    const client = Buffer.from(
      (request.headers.authorization ?? '').slice('Basic '.length),
      'base64',
    ).toString();
    const sound =
      query !== undefined &&
      query.get('code_challenge_method') === 'S256' &&
      query.get('code_challenge') === verifier &&
      query.get('redirect_uri') === form.get('redirect_uri') &&
      client === `${query.get('client_id')}:client-secret`;
    if (!sound) return sendJson(response, 400, { error: 'invalid_grant' });
    const claims = { aud: query.get('client_id')!, nonce: query.get('nonce'), ...issuer.person };
    sendJson(response, 200, {
      token_type: 'Bearer',
      access_token: 'x',
      id_token: await issuer.token(claims),
    });
  });
}

async function newKeys(kid: string): Promise<{ privateKey: CryptoKey; jwk: JWK }> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' } };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}
