import { createHmac, createPrivateKey, createPublicKey, randomBytes, verify } from 'node:crypto';
import { expiryOf, type FetchedToken, type TokenRequest } from '#distribution/credential-keeper.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Code, GrpcError } from '../grpc/grpc-error.ts';
import { Auth } from '../proto/github.com/moby/buildkit/session/auth/auth_pb.ts';

interface Options {
  readonly signal: AbortSignal;
}

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const MAX_TOKENS = 1_000;

/** Makes keys of this process's life: what a client signs for one worker says nothing to the next. */
const SALT = randomBytes(KEY_BYTES);

/** DER of an Ed25519 key up to the key itself (RFC 8410). */
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Of clients that have no credentials for a registry: the key that BuildKit's make then is no secret. */
const NOBODY = publicKeyOf(createHmac('sha256', SALT).digest());

/** Tokens of clients, for their next builds: whoever can prove to have the same credentials gets the same token. */
export class SharedTokens {
  readonly #tokens = new Map<string, FetchedToken>();

  get(key: string): FetchedToken | undefined {
    const found = this.#tokens.get(key);
    if (found && found.expiresAt > Date.now()) return found;
    this.#tokens.delete(key);
    return undefined;
  }

  set(key: string, token: FetchedToken): void {
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size >= MAX_TOKENS && oldest !== undefined) this.#tokens.delete(oldest);
    this.#tokens.set(key, token);
  }
}

/**
 * Tokens that a client fetches with credentials that never leave it (BuildKit, session/auth). A client has a key for a
 * registry, made of its credentials; it proves to have it by a signature.
 */
export class ClientTokens {
  readonly #client: GrpcClient;
  readonly #shared: SharedTokens;
  /** By host: the public key; undefined: the client fetches no tokens for it. */
  readonly #authorities = new Map<string, Promise<Buffer | undefined>>();

  constructor(client: GrpcClient, shared: SharedTokens) {
    this.#client = client;
    this.#shared = shared;
  }

  /** undefined: the client leaves it to us. Throws `GrpcError`. */
  async token(
    host: string,
    { realm, service, scopes, refused }: TokenRequest,
    options: Options,
  ): Promise<FetchedToken | undefined> {
    const authority = await this.#authority(host, options);
    if (!authority) return undefined;
    const key = JSON.stringify([host, authority.toString('hex'), realm, service, scopes]);
    const known = this.#shared.get(key);
    if (known && known.token !== refused && (await this.#proves(host, authority, options))) return known;
    try {
      const answer = await this.#client.unary(
        Auth.method.fetchToken,
        { ClientID: 'slipway', Host: host, Realm: realm, Service: service ?? '', Scopes: [...scopes] },
        options,
      );
      const issuedAt = answer.IssuedAt > 0n ? Number(answer.IssuedAt) * 1000 : Date.now();
      const token = { token: answer.Token, expiresAt: expiryOf(Number(answer.ExpiresIn), issuedAt) };
      this.#shared.set(key, token);
      return token;
    } catch (error) {
      // Without credentials we can ask as well as the client, who may not even get to the server.
      if (authority.equals(NOBODY) && !options.signal.aborted) return undefined;
      throw error;
    }
  }

  #authority(host: string, options: Options): Promise<Buffer | undefined> {
    const known = this.#authorities.get(host);
    if (known) return known;
    const asked = this.#askForAuthority(host, options);
    this.#authorities.set(host, asked);
    asked.catch(() => this.#authorities.delete(host));
    return asked;
  }

  async #askForAuthority(host: string, options: Options): Promise<Buffer | undefined> {
    try {
      const request = { Host: host, Salt: SALT };
      const { PublicKey: key } = await this.#client.unary(Auth.method.getTokenAuthority, request, options);
      return key.length === KEY_BYTES ? Buffer.from(key) : undefined;
    } catch (error) {
      // `unavailable` is what a client says that was told not to (BUILDKIT_NO_CLIENT_TOKEN).
      const codes: readonly number[] = [Code.unimplemented, Code.unavailable];
      if (error instanceof GrpcError && codes.includes(error.code) && !this.#client.closed.aborted)
        return undefined;
      throw error;
    }
  }

  /** Whether the client has the private key to a public one that it has named. */
  async #proves(host: string, authority: Buffer, options: Options): Promise<boolean> {
    const payload = randomBytes(KEY_BYTES);
    const request = { Host: host, Salt: SALT, Payload: payload };
    const { Signed: signed } = await this.#client.unary(Auth.method.verifyTokenAuthority, request, options);
    // As NaCl has it: the signature, and what was signed.
    const signature = signed.subarray(0, SIGNATURE_BYTES);
    if (!payload.equals(signed.subarray(SIGNATURE_BYTES))) return false;
    const key = createPublicKey({
      key: Buffer.concat([PUBLIC_PREFIX, authority]),
      format: 'der',
      type: 'spki',
    });
    return verify(null, payload, key, signature);
  }
}

function publicKeyOf(seed: Buffer): Buffer {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PRIVATE_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(PUBLIC_PREFIX.length);
}
