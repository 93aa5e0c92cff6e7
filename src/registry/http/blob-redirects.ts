import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Context } from 'koa';
import type { Digest } from '#oci/digest.ts';
import type { Blob } from '../blobs/blobs.ts';

/** Which clients are sent to the content store for the bytes of a blob; `networks` are subnets or addresses. */
export interface BlobRedirectPolicy {
  readonly mode: 'never' | 'always' | 'only' | 'except';
  readonly networks: readonly string[];
}

/** Sends clients to where the content is, if the store has URLs for them. */
export class BlobRedirects {
  readonly #mode: BlobRedirectPolicy['mode'];
  readonly #networks = new BlockList();

  constructor({ mode, networks }: BlobRedirectPolicy) {
    this.#mode = mode;
    for (const network of networks) {
      const [address, bits] = network.split('/') as [string, string | undefined];
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      if (bits === undefined) this.#networks.addAddress(address, family);
      else this.#networks.addSubnet(address, Number(bits), family);
    }
  }

  /** Whether a client at this address is one to send away. */
  includes(address: string): boolean {
    if (this.#mode === 'never' || this.#mode === 'always') return this.#mode === 'always';
    const listed = isIP(address) !== 0 && this.#networks.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
    return listed === (this.#mode === 'only');
  }

  /** Answers with a redirect and returns true, if this request is one for that. */
  async answer(ctx: Context, blob: Blob, digest: Digest): Promise<boolean> {
    if (!this.includes(ctx.ip) || !anyoneCanAnswer(ctx)) return false;
    const url = await blob.link();
    if (url === undefined) return false;
    ctx.status = 307;
    ctx.set('Location', url);
    ctx.set('Docker-Content-Digest', digest);
    ctx.set('Content-Length', '0');
    ctx.respond = false;
    ctx.res.end();
    return true;
  }
}

/**
 * What a store of objects answers as a registry would: not a HEAD (the URL is signed for GET), not several ranges (S3
 * sends the whole instead), not a condition on an entity tag that only we know.
 */
function anyoneCanAnswer(ctx: Context): boolean {
  return ctx.method === 'GET' && ctx.get('If-Range') === '' && !ctx.get('Range').includes(',');
}
