import { X509Certificate } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { isKind, messageOf, unauthorized, unavailable } from '#errors/errors.ts';
import type { Claimant } from '../jobs/job.ts';
import { createRequest } from '../workers/certificates.ts';
import type { IssuedCertificate } from '../workers/enrolment.ts';
import type { WorkerContent } from '../workers/worker-content.ts';
import type { WorkerOffer } from '../workers/worker-leases-repository.ts';
import { CredentialFiles, type MemberCredentials } from './credentials.ts';
import { PoolConnection } from './pool-connection.ts';

/** So many heartbeats a lease. */
const BEATS = 4;
const RETRY = 1_000;
/** When the pool said no. */
const LONG_RETRY = 30_000;

export interface MembershipOptions {
  /** The gateway: `https://host:port` or `unix:///path`. */
  readonly url: string;
  /** Needed while there is no certificate. */
  readonly token: string | undefined;
  readonly name: string;
  /** Where key and certificate are kept. */
  readonly folder: string;
}

interface LeaseAnswer extends Claimant {
  readonly duration: number;
  readonly held: boolean;
  /** Of a content that was sent: whether it was kept, and the version of what is known now. */
  readonly content?: { readonly kept: boolean; readonly version: number };
}

/** What a worker says of itself with each heartbeat. */
export interface MemberReport {
  readonly address: string;
  readonly offer: () => WorkerOffer;
  /** What images it has; undefined when that is as it was, unless it has to be told `again`. */
  readonly content?: (again: boolean) => Promise<WorkerContent | undefined>;
}

/**
 * A worker's place in a pool: a certificate, renewed before it runs out, and a lease, kept by heartbeats. A worker that
 * could not renew its lease in time has lost it, by its own clock (of durations), no later than the pool thinks so. Emits
 * `lost` then, and `held` with each new epoch.
 */
export class Membership extends EventEmitter<{ lost: []; held: [Claimant]; certified: [MemberCredentials] }> {
  readonly #options: MembershipOptions;
  readonly #files: CredentialFiles;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #connection!: PoolConnection;
  #credentials!: MemberCredentials;
  #claimant: Claimant | undefined;
  #timers = new Set<NodeJS.Timeout>();
  #expiry: NodeJS.Timeout | undefined;
  #report: MemberReport | undefined;
  #leaving = false;
  /** Of the content that the pool knew at the last heartbeat that told of it: what is read after that may follow it. */
  #known = 0;
  #again = false;

  private constructor(options: MembershipOptions, log: Logger) {
    super();
    this.#options = options;
    this.#files = new CredentialFiles(options.folder);
    this.#log = log;
  }

  /** Joins, unless that was done before. Throws what the pool says, and `unavailable` when it does not answer. */
  static async join(options: MembershipOptions, log: Logger): Promise<Membership> {
    const membership = new Membership(options, log);
    await membership.#certify();
    return membership;
  }

  get credentials(): MemberCredentials {
    return this.#credentials;
  }

  /** The lease; undefined while there is none. */
  get claimant(): Claimant | undefined {
    return this.#claimant;
  }

  /** Asks the pool for something, as of the lease. Throws `unavailable` without one. */
  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    if (!this.#claimant) throw unavailable('this worker has no lease of its pool');
    return await this.#connection.ask(method, path, body, { 'Slipway-Epoch': String(this.#claimant.epoch) });
  }

  /** A connection to whom the pool hands it on, as of the lease. Throws `unavailable`. */
  async open(
    path: string,
    { headers, signal }: { headers: Readonly<Record<string, string | string[]>>; signal: AbortSignal },
  ): Promise<Duplex> {
    if (!this.#claimant) throw unavailable('this worker has no lease of its pool');
    const { epoch } = this.#claimant;
    return await this.#connection.open(path, {
      headers: { ...headers, 'Slipway-Epoch': String(epoch) },
      signal,
    });
  }

  /**
   * Takes a lease and keeps it from now on. A pool that does not answer yet is asked again: containers run meanwhile.
   * Throws what it says otherwise.
   */
  async serve(report: MemberReport): Promise<void> {
    this.#report = report;
    const beat = async (): Promise<number> => {
      try {
        return (await this.#beat(report)) / BEATS;
      } catch (error) {
        this.#log.warn({ err: error }, 'the pool gave no lease');
        if (!this.#claimant && !isKind(error, 'unavailable')) throw error;
        return RETRY;
      }
    };
    const every = (pause: number): void => {
      this.#later(pause, async () => every(await beat().catch(() => LONG_RETRY)));
    };
    every(await beat());
  }

  [Symbol.dispose](): void {
    this.#stopping.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#expiry);
    this.#connection[Symbol.dispose]();
  }

  /** Tells the pool that this worker is about to stop: it gets nothing new. */
  async leave(): Promise<void> {
    this.#leaving = true;
    if (!this.#claimant || !this.#report) return;
    await this.#beat(this.#report).catch((error) => this.#log.warn({ err: error }, 'the pool was not told'));
  }

  /** Resolves to the lease's duration. */
  async #beat(report: MemberReport): Promise<number> {
    const { address, offer } = report;
    const began = performance.now();
    const epoch = this.#claimant?.epoch;
    const content = epoch === undefined ? undefined : await report.content?.(this.#again);
    if (content) this.#again = true;
    const asked = {
      address,
      offer: offer(),
      ...(epoch !== undefined && { epoch }),
      ...(this.#leaving && { leaving: true }),
      ...(content && { content: { base: this.#known, ...content } }),
    };
    const lease = (await this.#connection.ask('POST', '/lease', asked)) as LeaseAnswer;
    if (!lease.held) {
      this.#lose();
      return await this.#beat(report);
    }
    if (lease.content) {
      this.#known = lease.content.version;
      this.#again = !lease.content.kept;
    }
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.#lose(), lease.duration - (performance.now() - began));
    if (epoch === undefined) {
      this.#claimant = { worker: lease.worker, epoch: lease.epoch };
      this.emit('held', this.#claimant);
    }
    return lease.duration;
  }

  #lose(): void {
    if (!this.#claimant) return;
    this.#log.warn({ epoch: this.#claimant.epoch }, 'the lease is lost');
    this.#claimant = undefined;
    this.emit('lost');
  }

  async #certify(): Promise<void> {
    const { url, token, name } = this.#options;
    const known = await this.#files.load();
    if (known) {
      this.#credentials = known;
      this.#connection = new PoolConnection(url, known);
      const { validFromDate, validToDate } = new X509Certificate(known.cert);
      const half = (validFromDate.getTime() + validToDate.getTime()) / 2;
      this.#renewIn(Math.max(half - Date.now(), 0));
      return;
    }
    if (!token) {
      throw unauthorized(`to join ${url} this worker needs a token (slipway pool token-create on a gateway)`);
    }
    const key = await this.#files.key();
    const ca = await PoolConnection.authorityOf(url, token);
    using stranger = new PoolConnection(url, { ca });
    const request = await createRequest(key, name);
    const issued = (await stranger.ask('POST', '/join', { token, name, request })) as IssuedCertificate;
    this.#log.info({ url, name }, 'joined the pool');
    this.#credentials = { key, cert: issued.certificate, ca };
    await this.#files.save(this.#credentials);
    this.#connection = new PoolConnection(url, this.#credentials);
    this.#renewIn(issued.renewAfter);
  }

  #renewIn(pause: number): void {
    // Longer than a timer can be set for.
    this.#later(Math.min(pause, 2 ** 31 - 1), async () => {
      try {
        const issued = (await this.#connection.ask('POST', '/certificate')) as IssuedCertificate;
        this.#credentials = { ...this.#credentials, cert: issued.certificate };
        await this.#files.save(this.#credentials);
        this.#connection.use(this.#credentials);
        this.emit('certified', this.#credentials);
        this.#renewIn(issued.renewAfter);
      } catch (error) {
        const isRemoved = isKind(error, 'unauthorized');
        this.#log.warn(isRemoved ? messageOf(error) : { err: error }, 'the certificate was not renewed');
        this.#renewIn(60_000);
      }
    });
  }

  #later(pause: number, task: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#stopping.signal.aborted) void task();
    }, pause);
    this.#timers.add(timer);
  }
}
