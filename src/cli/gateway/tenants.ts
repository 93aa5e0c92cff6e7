import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { createServer as createTlsServer, type SecureContextOptions } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { unauthorized } from '#errors/errors.ts';
import type { GrpcProxy } from '#pool/gateway/grpc-proxy.ts';
import type { GatewayCredentials } from '#pool/gateway/workers.ts';
import { createDispatchServer } from '#pool/http/dispatch-server.ts';
import type { PublishedPorts } from '#pool/ports/published-ports.ts';
import { ClientsRepository } from '#pool/tenants/clients-repository.ts';
import { TenantAccessRepository } from '#pool/tenants/tenant-access-repository.ts';
import { TenantAuthenticator } from '#pool/tenants/tenant-authenticator.ts';
import { generationOf, type TenantIdentity } from '#pool/tenants/tenant-header.ts';
import type { RoleContext } from '../process/role.ts';
import { openPoolAccounts } from './accounts.ts';

/** What of a gateway a tenant has to itself. `identity` is theirs with the policy as it is. */
export type CreateTenantServer = (
  identity: () => TenantIdentity,
  closing: AsyncDisposableStack,
) => {
  readonly server: Server;
  readonly grpc: GrpcProxy;
  readonly published: Pick<PublishedPorts, 'permitted'> | undefined;
};

/** In milliseconds: how often it is looked who is a tenant no more. */
const LOOK = 2_000;

interface TenantGateway {
  identity: TenantIdentity;
  readonly closing: AsyncDisposableStack;
  readonly server: Server;
  readonly grpc: GrpcProxy;
  readonly published: Pick<PublishedPorts, 'permitted'> | undefined;
  /** Which ports of gateways it was told that it may have. */
  gatewayPorts: readonly string[];
}

/**
 * The tenants that come to this gateway: each is answered by routes of their own, over a directory, connections and
 * builds of their own, so that no route has to tell tenants apart.
 */
export class GatewayTenants {
  readonly #authenticator: TenantAuthenticator;
  readonly #create: CreateTenantServer;
  readonly #events: Server;
  readonly #access: TenantAccessRepository;
  readonly #closing: AsyncDisposableStack;
  readonly #log: Logger;
  readonly #gateways = new Map<string, TenantGateway>();

  constructor(
    ports: { db: PoolDatabase; create: CreateTenantServer; events: Server; log: Logger },
    config: Config,
    closing: AsyncDisposableStack,
  ) {
    let accounts: ReturnType<typeof openPoolAccounts> | undefined;
    const open = () => {
      accounts ??= openPoolAccounts(config, this.#closing);
      accounts.catch(() => {
        accounts = undefined;
      });
      return accounts;
    };
    this.#access = new TenantAccessRepository(ports.db);
    this.#authenticator = new TenantAuthenticator({
      accounts: open,
      tenants: this.#access,
      clients: new ClientsRepository(ports.db),
    });
    this.#create = ports.create;
    this.#events = ports.events;
    this.#log = ports.log;
    const look = setInterval(() => {
      this.#look(config.gateway.publishPorts).catch((err: unknown) =>
        ports.log.warn({ err }, 'who is a tenant is not known'),
      );
    }, LOOK);
    this.#closing = closing.use(new AsyncDisposableStack());
    this.#closing.defer(async () => {
      clearInterval(look);
      await Promise.all([...this.#gateways.values()].map((each) => each.closing.disposeAsync()));
    });
  }

  /**
   * A server that answers each client as who it is, and events of triggers by `events`. Who says nothing of who they are is the operator, on a socket of this
   * machine's root; where `must`, nobody.
   */
  server(operator: Server, { must }: { must: boolean }): Server {
    return createDispatchServer((req) => {
      if (isEvent(req)) return this.#events;
      const isSilent = req.headers.authorization === undefined;
      if (!must && isSilent) return operator;
      return this.#authenticator.tenantOf(req).then((tenant) => {
        if (tenant) return this.#of(tenant).server;
        throw unauthorized(
          'this takes a certificate of a client of the pool, or credentials of the registry',
        );
      });
    }, this.#log);
  }

  /** What the tenant of a client's certificate (PEM) builds with. Throws as `TenantAuthenticator.tenantOf`. */
  async grpcOf(certificate: string): Promise<GrpcProxy> {
    return this.#of(await this.#authenticator.tenantOfCertificate(certificate)).grpc;
  }

  /**
   * Nobody asks workers in the name of who was removed any more; and who may have ports here has them, whichever gateway its
   * clients come to.
   */
  async #look(publishPorts: boolean): Promise<void> {
    if (publishPorts) for (const tenant of await this.#access.withGatewayPorts()) this.#of(tenant);
    const all = [...this.#gateways];
    const present = await this.#access.identities(all.map(([name]) => name));
    for (const [name, gateway] of all) {
      const now = present.get(name);
      if (now && generationOf(now) === generationOf(gateway.identity)) {
        follow(gateway, now);
        continue;
      }
      if (this.#gateways.get(name) === gateway) this.#gateways.delete(name);
      await gateway.closing.disposeAsync();
    }
  }

  #of(identity: TenantIdentity): TenantGateway {
    const known = this.#gateways.get(identity.name);
    const newer = known && generationOf(known.identity) - generationOf(identity);
    if (newer !== undefined && newer > 0) throw unauthorized(`the tenant '${identity.name}' was removed`);
    if (known && newer === 0) {
      known.identity = identity;
      return known;
    }
    const own = new AsyncDisposableStack();
    const current = { identity, gatewayPorts: identity.policy.gatewayPorts };
    const made = Object.assign(current, { closing: own, ...this.#create(() => current.identity, own) });
    this.#gateways.set(identity.name, made);
    known?.closing
      .disposeAsync()
      .catch((err: unknown) => this.#log.warn({ err }, 'a removed tenant’s requests do not end'));
    return made;
  }
}

/** The policy as it is now, whether or not somebody of the tenant comes. */
function follow(gateway: TenantGateway, now: TenantIdentity): void {
  gateway.identity = now;
  const { gatewayPorts } = now.policy;
  if (isDeepStrictEqual(gatewayPorts, gateway.gatewayPorts)) return;
  gateway.gatewayPorts = gatewayPorts;
  gateway.published?.permitted();
}

/** What Git hosts and registries send to a trigger: its signature says who it is of, nothing else. */
function isEvent({ method, url }: IncomingMessage): boolean {
  return method === 'POST' && /^\/api\/v1\/triggers\/[\w-]+\/events$/.test(url ?? '');
}

/** What a gateway shows its clients, and what it knows theirs by. */
export function gatewayContext(
  { certificate, key }: Config['gateway']['tls'],
  credentials: GatewayCredentials,
): SecureContextOptions {
  const own = certificate !== null &&
    key !== null && { cert: readFileSync(certificate), key: readFileSync(key) };
  return { ...credentials, ...own, minVersion: 'TLSv1.2' };
}

/** TLS in front of a server, with certificates of clients where they have any: the server says who may come in without. */
export function clientTls(
  server: Server,
  { tls }: Config['gateway'],
  { credentials, role }: { credentials: () => GatewayCredentials; role: RoleContext },
): ReturnType<typeof createTlsServer> & { renew(): void } {
  const context = () => gatewayContext(tls, credentials());
  const secure = createTlsServer(
    {
      ...context(),
      requestCert: true,
      rejectUnauthorized: false,
      allowHalfOpen: true,
      ALPNProtocols: ['http/1.1'],
    },
    (socket) => server.emit('connection', socket as Socket),
  );
  secure.on('tlsClientError', (error) => role.logger.debug({ err: error }, 'a client was refused'));
  const renew = () => secure.setSecureContext(context());
  role.onReload(renew);
  return Object.assign(secure, { renew });
}
