import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { forbidden, invalid, unauthorized } from '#errors/errors.ts';
import { keyDigest } from '../workers/certificates.ts';
import type { ClientsRepository } from './clients-repository.ts';
import type { TenantAccessRepository } from './tenant-access-repository.ts';
import { TENANT_HEADER, type TenantIdentity } from './tenant-header.ts';

/** The registry's users, robots, groups and trust policies: who they are here as well. */
export interface Accounts {
  /** Everything that somebody with these credentials (`Authorization`) is: `user:ada`, `group:devs`. Throws `unauthorized`. */
  logIn(authorization: string, address: string): Promise<readonly string[]>;
  /** The same of an account that was told by other means. Throws `unauthorized` when it may not log in. */
  subjectsOf(account: string): Promise<readonly string[]>;
}

/** What was found out is good for so long, in milliseconds: who is shut out is so within it. */
const FRESH = 1_000;
const REMEMBERED = 2_000;

interface Known {
  readonly at: number;
  readonly tenant: Promise<TenantIdentity>;
}

/** Tells for which tenant a client asks. */
export class TenantAuthenticator {
  readonly #accounts: () => Promise<Accounts>;
  readonly #tenants: TenantAccessRepository;
  readonly #clients: ClientsRepository;
  readonly #known = new Map<string, Known>();

  constructor(ports: {
    /** Opened when the first one shows who they are. */
    accounts: () => Promise<Accounts>;
    tenants: TenantAccessRepository;
    clients: ClientsRepository;
  }) {
    this.#accounts = ports.accounts;
    this.#tenants = ports.tenants;
    this.#clients = ports.clients;
  }

  /**
   * Undefined for who says nothing of who they are. Throws `unauthorized` for credentials that are not good, `forbidden`
   * for who belongs to no tenant, `invalid` for who belongs to several and does not say which.
   */
  async tenantOf(req: IncomingMessage): Promise<TenantIdentity | undefined> {
    const wish = textOf(req.headers[TENANT_HEADER]);
    const certificate = certificateOf(req.socket as TLSSocket);
    if (certificate) {
      return await this.#fresh(
        `certificate ${certificate} ${wish}`,
        () => this.#byCertificate(certificate),
        wish,
      );
    }
    const authorization = textOf(req.headers.authorization);
    if (authorization === '') return undefined;
    const address = req.socket.remoteAddress ?? '';
    const prove = async () => (await this.#accounts()).logIn(authorization, address);
    return await this.#fresh(`login ${authorization} ${wish}`, prove, wish);
  }

  /** The tenant of a client's certificate (PEM), for what is no HTTP request. Throws as `tenantOf`. */
  async tenantOfCertificate(certificate: string): Promise<TenantIdentity> {
    return await this.#choose(await this.#byCertificate(keyDigest(certificate)), '');
  }

  async #byCertificate(digest: string): Promise<readonly string[]> {
    const subject = await this.#clients.subjectOf(digest);
    if (subject === undefined) throw unauthorized('this certificate is not good any more');
    return await (await this.#accounts()).subjectsOf(subject);
  }

  #fresh(key: string, prove: () => Promise<readonly string[]>, wish: string): Promise<TenantIdentity> {
    // Secrets are not kept, not even for a second.
    const name = createHash('sha256').update(key).digest('base64');
    const now = performance.now();
    const known = this.#known.get(name);
    if (known && now - known.at < FRESH) return known.tenant;
    const tenant = prove().then((subjects) => this.#choose(subjects, wish));
    this.#known.delete(name);
    this.#known.set(name, { at: now, tenant });
    tenant.catch(() => this.#known.delete(name));
    if (this.#known.size > REMEMBERED) this.#known.delete(this.#known.keys().next().value!);
    return tenant;
  }

  async #choose(subjects: readonly string[], wish: string): Promise<TenantIdentity> {
    const tenants = await this.#tenants.ofSubjects(subjects);
    const [first, ...others] = tenants;
    if (wish !== '') {
      const wished = tenants.find(({ name }) => name === wish);
      if (wished) return wished;
      throw forbidden(`${subjects[0]} does not belong to a tenant '${wish.slice(0, 100)}'`);
    }
    if (!first) throw forbidden(`${subjects[0]} belongs to no tenant of this pool`);
    if (others.length === 0) return first;
    const names = tenants.map(({ name }) => name).join(', ');
    throw invalid(
      `${subjects[0]} belongs to several tenants (${names}): say which in the header Slipway-Tenant`,
    );
  }
}

/** The digest of the key that the other end has shown to have, with a certificate of a client of this pool. */
function certificateOf(socket: TLSSocket): string | undefined {
  if (!socket.encrypted || !socket.authorized) return undefined;
  const certificate = socket.getPeerX509Certificate();
  if (!certificate || socket.getPeerCertificate().subject?.O !== 'client') return undefined;
  return keyDigest(certificate.toString());
}

function textOf(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join() : (header ?? '');
}
