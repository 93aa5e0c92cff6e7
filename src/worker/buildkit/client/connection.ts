import { type ClientRequest, type RequestOptions, request } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { unavailable } from '#errors/errors.ts';

/** Where an engine listens. */
export type EngineAddress =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number; readonly tls?: TlsOptions };

/** Has a connection of another's go on as HTTP/2. Throws `unavailable`. */
export type Connect = (
  path: '/session' | '/grpc',
  options: { headers: Readonly<Record<string, string | string[]>>; signal: AbortSignal },
) => Promise<Duplex>;

/** In PEM, as Node's TLS takes them. */
interface TlsOptions {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** A request of HTTP/1.1 to an engine, in TLS where its address says so. */
export function requestTo(address: EngineAddress, options: RequestOptions): ClientRequest {
  if ('socketPath' in address) return request({ ...address, ...options });
  const { tls, ...place } = address;
  return tls ? secureRequest({ ...place, ...tls, ...options }) : request({ ...place, ...options });
}

const MAX_REFUSAL_BYTES = 64 * 1024;

/**
 * A connection to one of the engine's endpoints that go on as HTTP/2. Throws `unavailable` when nobody is there, or it is
 * refused.
 */
export function connectUpgraded(
  address: EngineAddress,
  path: string,
  { headers = {}, signal }: { headers?: Readonly<Record<string, string | string[]>>; signal: AbortSignal },
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const sent = requestTo(address, {
      path,
      method: 'POST',
      headers: { ...headers, connection: 'Upgrade', upgrade: 'h2c' },
      agent: false,
      signal,
    });
    sent.once('error', (cause) => reject(unavailable(`no worker answers: ${cause.message}`, { cause })));
    sent.once('upgrade', (_response, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    sent.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < MAX_REFUSAL_BYTES) text += chunk;
      });
      response.once('end', () =>
        reject(unavailable(`the worker refuses ${path}: ${response.statusCode} ${text.trim()}`)),
      );
    });
    sent.end();
  });
}
