import { invalid } from '#errors/errors.ts';
import { type Digest, isDigest } from './digest.ts';

/** A repository's name within one registry: lower-case path components (OCI distribution-spec, "Pulling manifests"). */
export type RepositoryName = string & { readonly __brand: 'RepositoryName' };
export type Tag = string & { readonly __brand: 'Tag' };

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const DOMAIN =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const MAX_NAME_LENGTH = 255;

export const DEFAULT_DOMAIN = 'docker.io';
export const DEFAULT_TAG = 'latest' as Tag;

export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= MAX_NAME_LENGTH && NAME.test(text);
}

/** Throws `invalid`, code `NAME_INVALID`. */
export function parseRepositoryName(text: string): RepositoryName {
  if (!isRepositoryName(text)) {
    throw invalid(`invalid repository name ${JSON.stringify(text.slice(0, 300))}`, { code: 'NAME_INVALID' });
  }
  return text;
}

export function isTag(text: string): text is Tag {
  return TAG.test(text);
}

/** Throws `invalid`, with the code that the Distribution API has for a manifest that cannot be. */
export function parseTag(text: string): Tag {
  if (!isTag(text))
    throw invalid(`invalid tag ${JSON.stringify(text.slice(0, 200))}`, { code: 'MANIFEST_INVALID' });
  return text;
}

/** What an image is called across registries: `domain/path[:tag][@digest]`. */
export interface ImageReference {
  /** `docker.io`, `127.0.0.1:5000` … */
  readonly domain: string;
  /** Path in that registry, with Docker Hub's `library/` made explicit. */
  readonly path: RepositoryName;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/**
 * Reads a reference as the docker CLI does: `nginx` is `docker.io/library/nginx`; the first component is a
 * domain only when it has a dot or a port, is `localhost`, or has upper-case letters.
 */
export function parseImageReference(text: string): ImageReference {
  const fail = (why = 'invalid reference format'): never => {
    throw invalid(why === 'invalid reference format' ? why : `invalid reference format: ${why}`);
  };
  if (/^[0-9a-f]{64}$/.test(text)) {
    fail(`cannot specify 64-byte hexadecimal strings`);
  }
  let rest = text;
  let digest: Digest | undefined;
  const at = rest.indexOf('@');
  if (at >= 0) {
    const candidate = rest.slice(at + 1);
    if (!isDigest(candidate)) return fail();
    digest = candidate;
    rest = rest.slice(0, at);
  }
  let tag: Tag | undefined;
  const colon = rest.lastIndexOf(':');
  if (colon > rest.lastIndexOf('/')) {
    const candidate = rest.slice(colon + 1);
    if (!isTag(candidate)) return fail();
    tag = candidate;
    rest = rest.slice(0, colon);
  }
  const { domain, path } = splitDomain(rest);
  if (!DOMAIN.test(domain)) return fail();
  if (/[A-Z]/.test(path)) return fail(`repository name (${path}) must be lowercase`);
  if (!isRepositoryName(path)) return fail();
  return { domain, path, ...(tag && { tag }), ...(digest && { digest }) };
}

/** The same reference with `:latest` where it names neither tag nor digest. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  return reference.tag || reference.digest ? reference : { ...reference, tag: DEFAULT_TAG };
}

/** As people write it: without `docker.io/` and `library/`. */
export function familiarName(reference: Pick<ImageReference, 'domain' | 'path'>): string {
  if (reference.domain !== DEFAULT_DOMAIN) return `${reference.domain}/${reference.path}`;
  return reference.path.startsWith('library/') ? reference.path.slice('library/'.length) : reference.path;
}

/** Familiar name with tag and digest: `nginx:latest`, `127.0.0.1:5000/a@sha256:…`. */
export function familiarReference(reference: ImageReference): string {
  const tag = reference.tag ? `:${reference.tag}` : '';
  const digest = reference.digest ? `@${reference.digest}` : '';
  return `${familiarName(reference)}${tag}${digest}`;
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  if (slash < 0 || !(/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase())) {
    return { domain: DEFAULT_DOMAIN, path: slash < 0 ? `library/${name}` : name };
  }
  const domain = first === 'index.docker.io' ? DEFAULT_DOMAIN : first;
  const path = name.slice(slash + 1);
  return { domain, path: domain === DEFAULT_DOMAIN && !path.includes('/') ? `library/${path}` : path };
}
