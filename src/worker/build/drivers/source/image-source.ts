import { invalid } from '#errors/errors.ts';
import { chainId } from '#oci/chain-id.ts';
import { hostPlatform } from '#oci/platform.ts';
import { imageDigests } from '../../cache/portable/source-digest.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { WantedMeta } from '../../policy/source-meta.ts';
import { oneOff } from '../../solve/one-off.ts';
import type { CacheMap, OpContext } from '../../solve/op-driver.ts';
import type { Ref } from '../../solve/ref.ts';
import type { Layers } from '../layers.ts';
import type { FoundImage, ImageResolver } from './image-resolver.ts';
import { type DescribeContext, type Description, locationOf, type Source } from './source-driver.ts';

/** Images of registries and of this machine (`docker-image://`), and of clients' stores (`oci-layout://`). */
export class ImageSource implements Source {
  readonly schemes = ['docker-image', 'oci-layout'];
  readonly #ports: { readonly resolver: ImageResolver; readonly layers: Layers };

  constructor(ports: { resolver: ImageResolver; layers: Layers }) {
    this.#ports = ports;
  }

  async cacheMap(vertex: Vertex<SourceOp>, context: OpContext): Promise<CacheMap> {
    const told = { vertex: vertex.digest, sink: context.progress };
    const { layers, digest } = await oneOff(told, `resolve ${locationOf(vertex)}`, () =>
      this.#find(vertex, context),
    );
    // What it stands for is files: an image that was configured anew is the same source.
    const diffIds = layers.layers.map(({ diffId }) => diffId);
    const files = diffIds.length === 0 ? undefined : chainId(diffIds);
    const platform = vertex.platform ?? hostPlatform();
    const portable = imageDigests(digest, platform, { layers: files, limit: limitOf(vertex) });
    return { digest: `image:${files ?? 'scratch'}`, resolved: digest, portable, inputs: [] };
  }

  async run(vertex: Vertex<SourceOp>, context: OpContext): Promise<Ref> {
    const { layers } = await this.#find(vertex, context);
    // What has nowhere else to be brought from is kept from now on.
    const here = await this.#ports.layers.present(layers);
    if (here) await this.#ports.layers.require(layers, { signal: context.signal });
    if (here) context.reused();
    return layers;
  }

  async describe(source: SourceOp, wanted: WantedMeta, context: DescribeContext): Promise<Description> {
    const { platform, session, signal } = context;
    const { mode = 'default', noConfig = false, predicates = [] } = wanted;
    const attrs = mode === 'default' ? source.attrs : { ...source.attrs, 'image.resolvemode': mode };
    const meant = { op: { ...source, attrs }, ...(platform && { platform }) };
    const { digest, config } = await this.#find(meant, context);
    const chain =
      wanted.attestations || predicates.length > 0
        ? await this.#ports.resolver.attestations(locationOf(meant), {
            platform: platform ?? hostPlatform(),
            mode,
            session,
            signal,
            predicates,
          })
        : undefined;
    if (chain && chain.root !== digest) {
      throw invalid(`attestation chain root digest ${chain.root} does not match image digest ${digest}`);
    }
    return { image: { digest, ...(!noConfig && { config }), ...(chain && { attestations: chain }) } };
  }

  async #find(
    vertex: Pick<Vertex<SourceOp>, 'op' | 'platform'>,
    { session, signal }: Pick<OpContext, 'session' | 'signal'>,
  ): Promise<FoundImage> {
    const { identifier, attrs } = vertex.op;
    const platform = vertex.platform ?? hostPlatform();
    const inStore = identifier.startsWith('oci-layout:');
    const found = await this.#ports.resolver.resolve(locationOf(vertex), {
      platform,
      mode: modeOf(attrs['image.resolvemode']),
      session,
      signal,
      ...(inStore && { store: attrs['oci.store'] ?? storeOf(locationOf(vertex)) }),
    });
    const limit = limitOf(vertex);
    const checksum = attrs['image.checksum'];
    if (checksum && checksum !== found.digest) {
      throw invalid(
        `image digest ${found.digest} for ${locationOf(vertex)} does not match expected checksum ${checksum}`,
      );
    }
    if (limit === undefined) return found;
    const { length } = found.layers.layers;
    if (limit > length) {
      throw invalid(`layer limit ${limit} is greater than the number of layers in the image ${length}`);
    }
    return { ...found, layers: { kind: 'layers', layers: found.layers.layers.slice(0, limit) } };
  }
}

/** How many of its layers are meant, if not all. Throws `invalid`. */
function limitOf({ op: { identifier, attrs } }: Pick<Vertex<SourceOp>, 'op'>): number | undefined {
  const inStore = identifier.startsWith('oci-layout:');
  const text = attrs[inStore ? 'oci.layerlimit' : 'image.layerlimit'];
  if (text === undefined) return undefined;
  const limit = Number(text);
  if (!Number.isSafeInteger(limit) || limit < 1) throw invalid(`invalid layer limit ${text}`);
  return limit;
}

/** Throws `invalid`. */
function modeOf(text = 'default'): 'default' | 'pull' | 'local' {
  if (text === '' || text === 'default') return 'default';
  if (text === 'pull' || text === 'local') return text;
  throw invalid(`invalid resolvemode: ${text}`);
}

/** A reference's name, where nothing else names the store. */
function storeOf(reference: string): string {
  return reference.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
}
