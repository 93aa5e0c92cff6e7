import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { SingleFlight } from '#async/single-flight.ts';
import { messageOf, unavailable } from '#errors/errors.ts';
import { isSafeUrl } from './issuer-url.ts';

/** What of an OpenID provider's metadata is of use here (OpenID Connect Discovery 1.0, 3). */
export interface ProviderMetadata {
  readonly issuer: string;
  readonly jwksUri: string;
  readonly authorizationEndpoint: string | undefined;
  readonly tokenEndpoint: string | undefined;
}

interface Provider {
  readonly metadata: ProviderMetadata;
  readonly keys: JWTVerifyGetKey;
  readonly until: number;
}

const TIMEOUT = 5_000;
const MAX_BYTES = 512 * 1024;
/** How long metadata is good for; keys are looked for again when a token names one that is not known. */
const METADATA_LIFE = 60 * 60_000;
/** A provider that did not answer is not asked again for this long, in milliseconds. */
const FAILURE_LIFE = 10_000;

/**
 * Asks OpenID providers for their metadata and keys, and keeps both a while. Only issuers that the operator named are
 * ever asked, over HTTPS, without following redirects, for a bounded time and size.
 */
export class ProviderClient {
  readonly #providers = new Map<string, Provider>();
  readonly #failures = new Map<string, { until: number; error: unknown }>();
  readonly #asking = new SingleFlight<Provider>();

  /** Throws `unavailable` when the provider does not answer as one. */
  async metadata(issuer: string): Promise<ProviderMetadata> {
    return (await this.#provider(issuer)).metadata;
  }

  /** The keys that the issuer signs with, to hand to jose. Throws `unavailable`. */
  async keys(issuer: string): Promise<JWTVerifyGetKey> {
    return (await this.#provider(issuer)).keys;
  }

  /** Sends a form to one of a provider's endpoints and reads the JSON that it answers. Throws `unavailable`. */
  async post(
    url: string,
    form: URLSearchParams,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ status: number; body: unknown }> {
    return await request(url, {
      method: 'POST',
      body: form,
      headers: { accept: 'application/json', ...headers },
    });
  }

  async #provider(issuer: string): Promise<Provider> {
    const known = this.#providers.get(issuer);
    if (known && known.until > Date.now()) return known;
    const failure = this.#failures.get(issuer);
    if (failure && failure.until > Date.now()) throw failure.error;
    try {
      const provider = await this.#asking.run(issuer, () => discover(issuer));
      this.#providers.set(issuer, provider);
      this.#failures.delete(issuer);
      return provider;
    } catch (error) {
      this.#failures.set(issuer, { until: Date.now() + FAILURE_LIFE, error });
      throw error;
    }
  }
}

async function discover(issuer: string): Promise<Provider> {
  const { status, body } = await request(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {});
  const document = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  // Discovery 1.0, 4.3: one provider must not speak for another.
  if (status !== 200 || document.issuer !== issuer) throw failed(issuer, 'it does not describe itself');
  const url = (name: string) => {
    const value = document[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'string' || !isSafeUrl(value)) throw failed(issuer, `its ${name} is not safe`);
    return value;
  };
  const jwksUri = url('jwks_uri');
  if (jwksUri === undefined) throw failed(issuer, 'it names no keys');
  const metadata = {
    issuer,
    jwksUri,
    authorizationEndpoint: url('authorization_endpoint'),
    tokenEndpoint: url('token_endpoint'),
  };
  const keys = createRemoteJWKSet(new URL(jwksUri), {
    timeoutDuration: TIMEOUT,
    [customFetch]: async (address: string) => {
      const answer = await request(address, {});
      return new Response(JSON.stringify(answer.body), { status: answer.status });
    },
  });
  return { metadata, keys, until: Date.now() + METADATA_LIFE };
}

async function request(url: string, options: RequestInit): Promise<{ status: number; body: unknown }> {
  try {
    const response = await fetch(url, {
      ...options,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT),
    });
    return { status: response.status, body: JSON.parse(await textOf(response)) as unknown };
  } catch (error) {
    throw failed(new URL(url).origin, messageOf(error), error);
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error('its answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function failed(who: string, why: string, cause?: unknown) {
  return unavailable(`the OpenID provider ${who} cannot be used: ${why}`, { cause });
}
