import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type ErrorKind, invalid, notFound, SlipwayError, tooLarge, unauthorized } from '#errors/errors.ts';
import type { WorkerContentsRepository } from '../gateway/worker-contents-repository.ts';
import type { Claimant } from '../jobs/job.ts';
import { issueCertificate } from '../workers/certificates.ts';
import type { Enrolment } from '../workers/enrolment.ts';
import { workerContentShape } from '../workers/worker-content.ts';
import type { WorkerLeasesRepository } from '../workers/worker-leases-repository.ts';

const MAX_BODY = 1024 * 1024;
/** With what a worker has. */
const MAX_REPORT = 16 * 1024 * 1024;

/** Heartbeats tell of the images of the pool's own engine; those of tenants are asked for. */
const OPERATOR = '';

const STATUS: Partial<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  unavailable: 503,
};

const text = z.string().max(4096);

/** No machine is larger: whoever says so would get all work there is, and what counts it could not add it up. */
const MOST = { memory: 2 ** 50, cpus: 65_536, builds: 1024, labels: 256 };
/** `os/architecture`, and a variant where there is one. */
const platform = z
  .string()
  .regex(/^[a-z0-9]{1,32}\/[a-z0-9]{1,32}(\/[a-z0-9.]{1,32})?$/, 'expected a platform');

const joinShape = z.strictObject({ token: text, name: text, request: z.string().max(16_384) });

const leaseShape = z.strictObject({
  /** Of the lease that is to be kept; without it, another one begins. */
  epoch: z.int().positive().optional(),
  address: text,
  offer: z.strictObject({
    platforms: z.array(platform).min(1).max(32),
    emulates: z.array(platform).max(32).optional(),
    labels: z
      .record(z.string().max(256), z.string().max(1024))
      .refine((labels) => Object.keys(labels).length <= MOST.labels, `more than ${MOST.labels}`),
    cpus: z.number().positive().max(MOST.cpus),
    memory: z.int().positive().max(MOST.memory),
    builds: z.int().min(1).max(MOST.builds).optional(),
  }),
  /** It is about to stop, and gets nothing new. */
  leaving: z.boolean().optional(),
  /** What it has, where that changed, read after `base` was what the pool knew. */
  content: z.strictObject({ base: z.int().min(0), ...workerContentShape.shape }).optional(),
});

/** A gateway's own certificate, for TLS with workers. All in PEM. */
export interface Credentials {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** A key and certificate of this process's own, also good for clients that know it by one of `hosts`. */
export async function gatewayCredentials(
  enrolment: Enrolment,
  { life, hosts = [] }: { life: number; hosts?: readonly string[] },
): Promise<Credentials> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const cert = await issueCertificate(enrolment.authority, {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    member: { name: 'pool', role: 'gateway' },
    life,
    hosts,
  });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { key, cert, ca: enrolment.authority.certificate };
}

type Task = (req: IncomingMessage, body: unknown) => Promise<unknown>;
/** Takes a connection over; settles at its end. */
type Upgrade = (path: RegExpExecArray, req: IncomingMessage, socket: Duplex, head: Buffer) => Promise<void>;

/**
 * What workers ask a gateway for, in TLS with certificates of the pool; who has none yet may join. Not yet listening. Who
 * a worker is, its certificate says, whatever else it says.
 *
 *     GET  /authority     the pool's certificate
 *     POST /join          a certificate, for a token
 *     POST /certificate   another one, for a certificate
 *     POST /lease         a lease, or more time for the one it has
 */
export class WorkerServer {
  readonly server: Server;
  readonly #enrolment: Enrolment;
  readonly #leases: WorkerLeasesRepository;
  readonly #contents: Pick<WorkerContentsRepository, 'keep' | 'version'>;
  readonly #duration: number;
  readonly #log: Logger;
  readonly #routes = new Map<string, Task>();
  readonly #handedOn = new Set<Duplex>();
  readonly #upgrades: { readonly path: RegExp; readonly task: Upgrade }[] = [];

  constructor(
    ports: {
      enrolment: Enrolment;
      leases: WorkerLeasesRepository;
      contents: Pick<WorkerContentsRepository, 'keep' | 'version'>;
      log: Logger;
    },
    options: { credentials: Credentials; leaseDuration: number },
  ) {
    this.#enrolment = ports.enrolment;
    this.#leases = ports.leases;
    this.#contents = ports.contents;
    this.#log = ports.log;
    this.#duration = options.leaseDuration;
    this.#routes.set('GET /authority', async () => ({ certificate: ports.enrolment.authority.certificate }));
    this.#routes.set('POST /join', (_req, body) => ports.enrolment.join(parseBody(joinShape, body)));
    this.#routes.set('POST /certificate', (req) => this.#renew(req));
    this.#routes.set('POST /lease', (req, body) => this.#lease(req, body));
    this.server = createServer({
      ...options.credentials,
      requestCert: true,
      // Who comes to join has no certificate yet; each route says who may use it.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    });
    this.server.on('request', (req, res) => void this.#serve(req, res));
    this.server.on('upgrade', (req, socket, head) => void this.#upgrade(req, socket, head));
    this.server.on('tlsClientError', (error) => this.#log.debug({ err: error }, 'a worker was refused'));
  }

  /** The worker that sent a request, as of the lease that it names in `Slipway-Epoch`. Throws `unauthorized`. */
  async authenticate(req: IncomingMessage): Promise<Claimant & { readonly name: string }> {
    const { name, certificate } = peerOf(req);
    await this.#enrolment.expectMember(name, certificate);
    const worker = await this.#leases.find(name);
    if (!worker) throw unauthorized(`worker '${name}' has no lease`);
    return { name, worker: worker.worker, epoch: Number(req.headers['slipway-epoch'] ?? 0) };
  }

  /** More that workers can ask for: `POST /path`. */
  route(path: string, task: Task): void {
    this.#routes.set(path, task);
  }

  /** Connections that workers have handed on to somebody else: `POST`, with `Upgrade`. */
  upgrades(path: RegExp, task: Upgrade): void {
    this.#upgrades.push({ path, task });
  }

  /** Ends it, with the connections that were handed on, of which the server itself knows nothing more. */
  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    for (const socket of this.#handedOn) socket.destroy();
    await closed;
  }

  async #renew(req: IncomingMessage): Promise<unknown> {
    const { name, certificate } = peerOf(req);
    return await this.#enrolment.renew(name, certificate);
  }

  async #lease(req: IncomingMessage, body: unknown): Promise<unknown> {
    const { name, certificate } = peerOf(req);
    await this.#enrolment.expectMember(name, certificate);
    const { epoch, address, offer, leaving, content } = parseBody(leaseShape, body);
    if (epoch === undefined) {
      const claimant = await this.#leases.acquire({ name, address, offer }, this.#duration);
      return { ...claimant, duration: this.#duration, held: true };
    }
    const { worker } = await this.authenticate(req);
    const held = await this.#leases.renew({ worker, epoch }, this.#duration, leaving);
    const lease = { worker, epoch, duration: this.#duration, held };
    if (!content || !held) return lease;
    const { base, images } = content;
    const kept = await this.#contents.keep(name, OPERATOR, base, { images });
    return { ...lease, content: { kept, version: await this.#contents.version(name, OPERATOR) } };
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      const path = req.url?.split('?')[0];
      const task = this.#routes.get(`${req.method} ${path}`);
      if (!task) throw notFound('workers have nothing to ask for there');
      const answer = await task(req, await bodyOf(req, path === '/lease' ? MAX_REPORT : MAX_BODY));
      send(res, 200, answer ?? {});
    } catch (error) {
      const { status, message } = this.#refusal(error);
      send(res, status, { message });
    }
  }

  async #upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    // One that had begun before.
    if (!this.server.listening) return void socket.destroy();
    this.#handedOn.add(socket);
    socket.once('close', () => this.#handedOn.delete(socket));
    try {
      for (const { path, task } of this.#upgrades) {
        const found = path.exec(req.url ?? '');
        if (found) return await task(found, req, socket, head);
      }
      throw notFound('workers have nothing to ask for there');
    } catch (error) {
      const { status, message } = this.#refusal(error);
      const body = JSON.stringify({ message });
      const lines = [`HTTP/1.1 ${status} Refused`, 'Content-Type: application/json', 'Connection: close'];
      socket.end(`${lines.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    }
  }

  #refusal(error: unknown): { status: number; message: string } {
    const known = error instanceof SlipwayError;
    if (!known) this.#log.error({ err: error }, 'a request of a worker failed');
    return {
      status: (known && STATUS[error.kind]) || 500,
      message: known ? error.message : 'internal error',
    };
  }
}

/** Who shows a certificate of a worker that the pool signed. Throws `unauthorized`. */
function peerOf(req: IncomingMessage): { name: string; certificate: string } {
  const socket = req.socket as TLSSocket;
  const certificate = socket.getPeerX509Certificate();
  if (!socket.authorized || !certificate) throw unauthorized('this takes a certificate of the pool');
  const { O: role, CN: name } = socket.getPeerCertificate().subject;
  if (role !== 'worker' || typeof name !== 'string')
    throw unauthorized('this takes a certificate of a worker');
  return { name, certificate: certificate.toString() };
}

/** Throws `invalid`. */
export function parseBody<T>(shape: z.ZodType<T>, body: unknown): T {
  const result = shape.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'invalid'}`);
}

async function bodyOf(req: IncomingMessage, limit: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw tooLarge(`a request of more than ${limit} bytes`);
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch (cause) {
    throw invalid('the body is no JSON', { cause });
  }
}

function send(res: ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify(body));
}
