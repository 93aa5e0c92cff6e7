import { invalid } from '#errors/errors.ts';
import { algorithmOf, digestOf, hexOf, isDigest } from '#oci/digest.ts';
import { canonicalJson } from '../../llb/canonical-json.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { CacheMap, OpContext } from '../../solve/op-driver.ts';
import type { Ref } from '../../solve/ref.ts';
import { fileAttributes } from './file-attributes.ts';
import type { HttpFiles } from './http-files.ts';
import type { ImageResolver } from './image-resolver.ts';
import { locationOf, type Source } from './source-driver.ts';

/** Single blobs, by their digest, as files: of registries (`docker-image+blob://`) and of clients' stores. */
export class BlobSource implements Source {
  readonly schemes = ['docker-image+blob', 'oci-layout+blob'];
  readonly #ports: { readonly resolver: Pick<ImageResolver, 'blob'>; readonly files: HttpFiles };

  constructor(ports: { resolver: Pick<ImageResolver, 'blob'>; files: HttpFiles }) {
    this.#ports = ports;
  }

  async cacheMap(vertex: Vertex<SourceOp>): Promise<CacheMap> {
    const { digest, file } = wantedOf(vertex);
    return { digest: `blob:${digestOf(canonicalJson([digest, file]))}`, resolved: digest, inputs: [] };
  }

  async run(vertex: Vertex<SourceOp>, { signal, session, resources }: OpContext): Promise<Ref> {
    const { digest, file, store } = wantedOf(vertex);
    const { resolver, files } = this.#ports;
    const reference = locationOf(vertex);
    const request = {
      url: `blob:${digest}`,
      headers: {},
      ...file,
      checksum: digest,
      upload: (options: { signal: AbortSignal }) =>
        resolver.blob(reference, { session, ...options, ...(store !== undefined && { store }) }),
    };
    const got = await files.get(request, { signal, session: session.original ?? session });
    const { directory } = resources.use(got);
    return { kind: 'directory', root: directory, id: `http:${digest}:${directory}` };
  }
}

/** Throws `invalid`. */
function wantedOf(vertex: Vertex<SourceOp>) {
  const { identifier, attrs } = vertex.op;
  const location = locationOf(vertex);
  const digest = location.slice(location.lastIndexOf('@') + 1);
  if (!isDigest(digest)) throw invalid(`invalid reference digest: ${location.slice(0, 300)}`);
  if (algorithmOf(digest) !== 'sha256')
    throw invalid(`blobs are checked by sha256 only: ${location.slice(0, 300)}`);
  const inStore = identifier.startsWith('oci-layout+blob:');
  const store = inStore ? attrs['oci.store'] : undefined;
  if (inStore && !store) throw invalid('oci-layout blob source requires store id');
  const { filename = hexOf(digest), ...rest } = fileAttributes(attrs);
  return { digest, store, file: { filename, ...rest } };
}
