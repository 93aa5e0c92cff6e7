import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { invalid, isKind } from '#errors/errors.ts';
import { digestOf, isDigest } from '#oci/digest.ts';
import { canonicalJson } from '../../llb/canonical-json.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { WantedMeta } from '../../policy/source-meta.ts';
import type { BuildSession } from '../../session/build-session.ts';
import type { CacheMap, OpContext } from '../../solve/op-driver.ts';
import type { Ref } from '../../solve/ref.ts';
import { fileAttributes } from './file-attributes.ts';
import type { HttpFileRequest, HttpFiles } from './http-files.ts';
import type { DescribeContext, Description, Source } from './source-driver.ts';

const MAX_SUFFIX_BYTES = 4096;
/** What a client may send along, besides a secret. */
const HEADERS = new Set(['accept', 'user-agent']);

/** Files of web servers: ADD's URLs, and contexts that are archives. */
export class HttpSource implements Source {
  readonly schemes = ['http', 'https'];
  readonly #files: HttpFiles;

  constructor(ports: { files: HttpFiles }) {
    this.#files = ports.files;
  }

  async cacheMap(vertex: Vertex<SourceOp>, context: OpContext): Promise<CacheMap> {
    const { checksum } = await requestOf(vertex, context);
    if (checksum !== undefined) {
      const name =
        vertex.op.attrs['http.filename'] ?? new URL(vertex.op.identifier).pathname.split('/').at(-1);
      return { digest: keyOf(vertex, [name, checksum]), resolved: checksum, inputs: [] };
    }
    const { filename, digest, lastModified } = await this.#get(vertex, context);
    return { digest: keyOf(vertex, [filename, digest, lastModified]), resolved: digest, inputs: [] };
  }

  async run(vertex: Vertex<SourceOp>, context: OpContext): Promise<Ref> {
    const { directory, digest } = await this.#get(vertex, context);
    return { kind: 'directory', root: directory, id: `http:${digest}:${directory}` };
  }

  async describe(source: SourceOp, { checksum }: WantedMeta, context: DescribeContext): Promise<Description> {
    if (checksum && checksum.suffix.length > MAX_SUFFIX_BYTES) throw invalid('suffix exceeds max size');
    const request = await requestOf({ op: source }, context);
    await using file = await this.#files.get(request, context);
    const { digest, filename, directory } = file;
    const modified = new Date(file.lastModified ?? '');
    return {
      http: {
        digest,
        filename,
        ...(!Number.isNaN(modified.getTime()) && { lastModified: modified }),
        ...(checksum && { checksum: await digestWith(join(directory, filename), checksum) }),
      },
    };
  }

  async #get(vertex: Vertex<SourceOp>, context: OpContext) {
    const request = await requestOf(vertex, context);
    const session = context.session.original ?? context.session;
    return context.resources.use(await this.#files.get(request, { signal: context.signal, session }));
  }
}

/** Of a file and what is put after it: some signatures are of that. */
async function digestWith(
  path: string,
  { algorithm, suffix }: NonNullable<WantedMeta['checksum']>,
): Promise<{ digest: string; suffix: Uint8Array }> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return { digest: `${algorithm}:${hash.update(suffix).digest('hex')}`, suffix };
}

/** Throws `invalid`. */
async function requestOf(
  { op: { identifier, attrs } }: Pick<Vertex<SourceOp>, 'op'>,
  { session, signal }: Pick<OpContext, 'session' | 'signal'>,
): Promise<HttpFileRequest> {
  const checksum = attrs['http.checksum'];
  if (checksum && !isDigest(checksum)) throw invalid(`invalid checksum ${checksum} for ${identifier}`);
  if (attrs['http.sig.pubkey'] || attrs['http.sig.signature']) {
    throw invalid('signatures of downloads are not verified by this builder');
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(attrs)) {
    const header = name.startsWith('http.header.') ? name.slice('http.header.'.length).toLowerCase() : '';
    if (HEADERS.has(header)) headers[header] = value;
  }
  const authorization = await authorizationOf(identifier, attrs['http.authheadersecret'], session, signal);
  if (authorization !== undefined) headers.authorization = authorization;
  return {
    url: identifier,
    headers,
    ...fileAttributes(attrs),
    checksum: checksum || undefined,
    ...(isUpload(identifier) && {
      upload: (options) => session.upload(new URL(identifier).pathname, options),
    }),
  };
}

/** Of the secret that was named, or that is named after the host. */
async function authorizationOf(
  url: string,
  named: string | undefined,
  session: BuildSession,
  signal: AbortSignal,
): Promise<string | undefined> {
  const text = async (id: string) =>
    Buffer.from(await session.secret(id, { signal }))
      .toString('utf8')
      .trim();
  if (named) return text(named);
  if (!session.offers('secret') || !URL.canParse(url)) return undefined;
  const { hostname } = new URL(url);
  const absent = (error: unknown) => {
    if (isKind(error, 'not-found')) return undefined;
    throw error;
  };
  const header = await text(`HTTP_AUTH_HEADER_${hostname}`).catch(absent);
  if (header !== undefined) return header;
  const token = await text(`HTTP_AUTH_TOKEN_${hostname}`).catch(absent);
  return token === undefined ? undefined : `Bearer ${token}`;
}

/** The name by which clients call what they were given on their standard input (BuildKit, session/upload). */
function isUpload(url: string): boolean {
  return URL.canParse(url) && new URL(url).host === 'buildkit-session';
}

function keyOf({ op: { attrs } }: Vertex<SourceOp>, found: readonly unknown[]): string {
  const { 'http.checksum': _, ...counted } = attrs;
  return `http:${digestOf(canonicalJson([counted, ...found]))}`;
}
