import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Authenticator } from '#auth/authenticator.ts';
import { requestIdFrom } from '#observability/request-id.ts';
import { isDigest } from '#oci/digest.ts';
import { isRepositoryName, isTag, type RepositoryName } from '#oci/reference.ts';
import type { Verdict } from '../limits/request-limits.ts';
import type { ManifestReference, Manifests } from '../manifests/manifests.ts';
import type { StoredManifest } from '../manifests/manifests-repository.ts';
import type { Mirror } from '../mirror/mirror.ts';
import type { PullObserver } from '../statistics/pull.ts';
import type { RequestObserver } from './observed-requests.ts';
import { announce, type CountedRequests } from './rate-limits.ts';
import { sendBytes } from './send-bytes.ts';
import { type TrustedProxies, wayOf } from './trusted-proxies.ts';
import { VERSION_HEADER } from './version-header.ts';

/** Nothing to decode, and no query. */
const PATH = /^\/v2\/([^?%]+)\/manifests\/([^/?%]+)$/;

export interface ManifestPullsPorts {
  readonly manifests: Manifests;
  readonly authenticator: Authenticator;
  readonly proxies: TrustedProxies;
  readonly limits: CountedRequests | undefined;
  readonly mirror: Mirror | undefined;
  readonly pulls: PullObserver | undefined;
  readonly observer: RequestObserver;
}

/**
 * Answers what a registry is asked most, a GET of a manifest that is there, by the shortest way: past Koa, whose
 * middleware costs more than all of the answer (docs/adr/0012-one-thread-serves.md). It decides as the middleware does
 * and in its order, but only answers with 200. For everything else it leaves the request as it came to the application,
 * which decides again, and knows how to say no.
 */
export class ManifestPulls {
  readonly #ports: ManifestPullsPorts;

  constructor(ports: ManifestPullsPorts) {
    this.#ports = ports;
  }

  /** Answers a request if it is such a one; says whether it was. It counts against its limits in any case. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    if (request.method !== 'GET' || request.headers['if-none-match'] !== undefined) return false;
    const [, name = '', text = ''] = PATH.exec(request.url!) ?? [];
    const reference = referenceOf(text);
    if (!reference || !isRepositoryName(name) || this.#ports.mirror?.mirrors(name)) return false;
    try {
      return await this.#pull(request, response, name, reference);
    } catch (error) {
      // The application meets it again.
      if (!response.headersSent) return false;
      throw error;
    }
  }

  async #pull(
    request: IncomingMessage,
    response: ServerResponse,
    repository: RepositoryName,
    reference: ManifestReference,
  ): Promise<boolean> {
    const started = performance.now();
    const { authenticator, limits, manifests, observer, proxies, pulls } = this.#ports;
    const { ip } = wayOf(request, proxies);
    if (!allowed(limits?.byAddress(request, ip))) return false;
    const authorization = request.headers.authorization ?? '';
    const access = await authenticator.authenticate({ authorization, address: ip });
    const { principal } = access;
    if (!allowed(limits?.byPrincipal(request, principal, ip))) return false;
    const pull = limits?.pull(request, principal, ip);
    if (!allowed(pull) || !access.allows(repository, 'pull')) return false;
    const manifest = await manifests.get(repository, reference);

    const requestId = requestIdFrom(request.headers['x-request-id']);
    const asked = { method: 'GET', path: request.url!, route: 'manifest', requestId, ip, principal };
    observer.watch(asked, response, started);
    const tag = 'tag' in reference ? reference.tag : undefined;
    const client = `${principal} ${ip}`;
    pulls?.pulled({ repository, digest: manifest.digest, tag, lookup: false, client });
    if (pull) announce(response, pull);
    response.writeHead(200, headersOf(manifest, requestId));
    sendBytes(response, manifest.payload);
    return true;
  }
}

function referenceOf(text: string): ManifestReference | undefined {
  if (text.includes(':')) return isDigest(text) ? { digest: text } : undefined;
  return isTag(text) ? { tag: text } : undefined;
}

function allowed(verdict: Verdict | undefined): boolean {
  return verdict?.allowed ?? true;
}

function headersOf({ digest, mediaType, payload }: StoredManifest, requestId: string) {
  return [
    'X-Request-Id',
    requestId,
    ...VERSION_HEADER,
    'Docker-Content-Digest',
    digest,
    'ETag',
    `"${digest}"`,
    'Content-Type',
    mediaType,
    'Content-Length',
    String(payload.length),
    'X-Content-Type-Options',
    'nosniff',
  ];
}
