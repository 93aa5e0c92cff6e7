import type { RepositoryName } from '#oci/reference.ts';
import { Authorizer, type Credentials } from './authorizer.ts';
import type { HttpRequest, HttpResponse, HttpTransport } from './http-transport.ts';

export interface RepositoryClientOptions {
  /** `http://127.0.0.1:5000` */
  readonly origin: URL;
  readonly repository: RepositoryName;
  readonly actions: 'pull' | 'pull,push' | 'pull,push,delete';
  readonly credentials?: Credentials;
}

export interface RepositoryRequest extends Omit<HttpRequest, 'url'> {
  /** Below `/v2/<repository>/`, or a whole URL that the registry gave (an upload's Location). */
  readonly path: string | URL;
  readonly query?: Readonly<Record<string, string>>;
  /** Further repositories that must be readable, for a mount. */
  readonly alsoPull?: readonly string[];
}

/** Requests to one repository of one registry, with authentication. Any status is an answer. */
export class RepositoryClient {
  readonly origin: URL;
  readonly repository: RepositoryName;
  readonly #transport: HttpTransport;
  readonly #authorizer: Authorizer;
  readonly #actions: string;

  constructor(transport: HttpTransport, options: RepositoryClientOptions) {
    this.origin = options.origin;
    this.repository = options.repository;
    this.#transport = transport;
    this.#authorizer = new Authorizer(transport, options.credentials);
    this.#actions = options.actions;
  }

  async request(request: RepositoryRequest): Promise<HttpResponse> {
    const url = this.#url(request);
    const scopes = [
      `repository:${this.repository}:${this.#actions}`,
      ...(request.alsoPull ?? []).map((name) => `repository:${name}:pull`),
    ];
    // A registry may take uploads on another host; that one has not asked for our credentials.
    const trusted = url.origin === this.origin.origin;
    const sent = trusted ? this.#authorizer.known(scopes) : undefined;
    const response = await this.#send(request, url, sent);
    if (response.status !== 401 || !trusted) return response;
    const answer = await this.#authorizer.answer(response.headers['www-authenticate'], scopes, {
      ...(sent !== undefined && { sent }),
      ...(request.signal && { signal: request.signal }),
    });
    if (answer === undefined) return response;
    response.body.resume();
    return this.#send(request, url, answer);
  }

  #send(request: RepositoryRequest, url: URL, authorization: string | undefined): Promise<HttpResponse> {
    const { path: _, query: __, alsoPull: ___, ...rest } = request;
    const headers = { ...request.headers, ...(authorization !== undefined && { authorization }) };
    return this.#transport.request({ ...rest, url, headers });
  }

  #url(request: RepositoryRequest): URL {
    const url =
      request.path instanceof URL
        ? new URL(request.path)
        : new URL(`/v2/${this.repository}/${request.path}`, this.origin);
    for (const [name, value] of Object.entries(request.query ?? {})) url.searchParams.set(name, value);
    return url;
  }
}
