import { createHash } from 'node:crypto';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { ResponseHead } from './response-head.ts';
import type { S3Answer } from './s3-answer.ts';
import { signsPayload } from './s3-client.ts';
import { S3Connections } from './s3-connections.ts';
import type { S3Settings } from './s3-settings.ts';

/** How long a store that wants more than a signature is left to AWS's library, in milliseconds. */
const RETREAT = 60_000;
/** Refusals that say nothing of what the next request is going to get. */
const OF_THE_OBJECT = new Set([404, 412, 416, 429]);

export interface S3DirectRequest {
  readonly method: 'GET' | 'PUT';
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: readonly Uint8Array[];
  readonly signal?: AbortSignal | undefined;
}

interface Place {
  readonly connections: S3Connections;
  /** Of the Host field. */
  readonly host: string;
  readonly hostname: string;
  readonly protocol: string;
  /** Before a key. */
  readonly path: string;
}

/**
 * The requests that move the bytes of objects, with as little between a connection and the bytes as there can be. AWS's
 * library signs them, and does what they ask for itself when this does not come to a plain success: so refusals,
 * redirects, retries and failures are its business alone.
 */
export class S3Direct implements Disposable {
  readonly #client: S3Client;
  readonly #settings: S3Settings;
  #place: Promise<Place> | undefined;
  #notBefore = 0;

  constructor(options: { client: S3Client; settings: S3Settings }) {
    this.#client = options.client;
    this.#settings = options.settings;
  }

  /** What `success` makes of the answer; undefined when the library has to be asked, whatever the reason. */
  async ask<T>(
    request: S3DirectRequest,
    success: (head: ResponseHead, answer: S3Answer) => T | undefined,
  ): Promise<T | undefined> {
    if (Date.now() < this.#notBefore) return undefined;
    try {
      const answer = await this.#send(request);
      const head = await answer.head;
      const result = success(head, answer);
      if (result !== undefined) return result;
      answer.destroy();
      if (head.status < 500 && !OF_THE_OBJECT.has(head.status)) this.#notBefore = Date.now() + RETREAT;
      return undefined;
    } catch {
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#place?.then(({ connections }) => connections[Symbol.dispose]()).catch(() => {});
  }

  async #send(request: S3DirectRequest): Promise<S3Answer> {
    const { body, signal } = request;
    const place = await this.#found();
    const head = await this.#signed(place, request);
    const connection = await place.connections.take();
    const answer = connection.send(head, body);
    if (signal) {
      const stop = () => connection.destroy();
      signal.addEventListener('abort', stop);
      answer.head.catch(() => {}).finally(() => signal.removeEventListener('abort', stop));
      if (signal.aborted) stop();
    }
    return answer;
  }

  /** The text of a request, up to its body. */
  async #signed(place: Place, { method, key, query = {}, headers, body }: S3DirectRequest): Promise<string> {
    const path = `${place.path}${key}`;
    const { host, protocol, hostname } = place;
    const fields = { host, ...headers, ...(body && this.#describe(body)) };
    const signer = await this.#client.config.signer();
    const signed = await signer.sign({ method, protocol, hostname, path, query, headers: fields });
    const lines = Object.entries(signed.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const words = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    const target = words.length > 0 ? `${path}?${words.join('&')}` : path;
    return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
  }

  #describe(body: readonly Uint8Array[]): Record<string, string> {
    const length = body.reduce((sum, bytes) => sum + bytes.length, 0);
    return { 'content-length': String(length), 'x-amz-content-sha256': this.#payloadHash(body) };
  }

  #payloadHash(body: readonly Uint8Array[]): string {
    if (!signsPayload(this.#settings)) return 'UNSIGNED-PAYLOAD';
    const hash = createHash('sha256');
    for (const bytes of body) hash.update(bytes);
    return hash.digest('hex');
  }

  async #found(): Promise<Place> {
    this.#place ??= this.#find();
    try {
      return await this.#place;
    } catch (error) {
      this.#place = undefined;
      throw error;
    }
  }

  /** Where the library would send requests for objects. */
  async #find(): Promise<Place> {
    const command = new GetObjectCommand({ Bucket: this.#settings.bucket, Key: 'key' });
    const { protocol, host, hostname, port, pathname } = new URL(await getSignedUrl(this.#client, command));
    const { connectTimeout, idleTimeout, maxConnections } = this.#settings;
    const tls = protocol === 'https:';
    const target = {
      tls,
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port || (tls ? 443 : 80)),
      connectTimeout,
      idleTimeout,
    };
    const path = pathname.slice(0, -'key'.length);
    return { connections: new S3Connections(target, maxConnections), host, hostname, protocol, path };
  }
}
