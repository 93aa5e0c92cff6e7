import { invalid } from '#errors/errors.ts';
import type { Platform } from '#oci/platform.ts';
import { familiarReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import type { Edge } from '../../llb/vertex.ts';
import type { Bridge, FrontendRequest } from '../frontend.ts';
import { gitEdge, httpEdge, imageEdge, layoutEdge, localEdge, type ResolveMode } from '../graph/sources.ts';
import { type Image, readImage } from '../image/image.ts';
import { normalizePlatform, platformId } from '../platforms.ts';
import { fullReference } from './full-reference.ts';
import { readGitReference } from './git-reference.ts';
import type { ImageResolver } from './image-resolver.ts';
import { loadIgnoreFile, localSession } from './main-context.ts';

/** What a named context stands for. */
export interface LoadedContext {
  /** Made once it is known which of its files are used; undefined: no files. */
  readonly files: ((followPaths: readonly string[] | undefined) => Edge) | undefined;
  /** It is an image, with a configuration. */
  readonly image?: Image;
  /** That configuration, exactly. */
  readonly config?: Uint8Array;
}

export interface NamedContext {
  load(): Promise<LoadedContext>;
}

interface Ports {
  readonly request: FrontendRequest;
  readonly bridge: Bridge;
  readonly images: Pick<ImageResolver, 'resolve'>;
  readonly mode: ResolveMode;
}

interface Found {
  /** Familiar, without `latest`. */
  readonly name: string;
  /** As the option has it: perhaps with `::platform`. */
  readonly key: string;
  readonly value: string;
  readonly platform: Platform;
}

/** `--build-context name=…`: what takes the place of stages and images of that name. */
export class NamedContexts {
  readonly #ports: Ports;
  readonly #any: boolean;

  constructor(ports: Ports) {
    this.#ports = ports;
    this.#any = Object.keys(ports.request.options).some((option) => option.startsWith('context:'));
  }

  /** The context for a stage's or an image's name. Throws `invalid` for a name that cannot be one. */
  find(name: string, platform: Platform): NamedContext | undefined {
    if (!this.#any || /^(?:scratch|context)$/i.test(name)) return undefined;
    const plain = familiarReference(parseImageReference(name)).replace(/:latest$/, '');
    for (const key of [`${plain}::${platformId(platform)}`, plain]) {
      const value = this.#ports.request.options[`context:${key}`];
      if (value === undefined) continue;
      const found = { name: plain, key, value, platform };
      return { load: () => this.#load(found) };
    }
    return undefined;
  }

  async #load(found: Found): Promise<LoadedContext> {
    const { value, key } = found;
    const colon = value.indexOf(':');
    if (colon < 0) throw invalid(`invalid context specifier ${value} for ${key}`);
    const scheme = value.startsWith('git@') ? 'git' : value.slice(0, colon);
    const rest = value.slice(colon + 1);
    switch (scheme) {
      case 'docker-image':
        return this.#image(found, rest.replace(/^\/\//, ''));
      case 'oci-layout':
        return this.#layout(found, rest.replace(/^\/\//, ''));
      case 'local':
        return this.#local(found, rest);
      case 'input':
        return this.#input(found, rest);
      case 'git':
      case 'ssh':
      case 'http':
      case 'https':
        return this.#remote(found);
      default:
        throw invalid(`unsupported context source ${scheme} for ${key}`);
    }
  }

  async #image({ key, platform }: Found, name: string): Promise<LoadedContext> {
    if (name === 'scratch') return { files: undefined };
    const { images, mode } = this.#ports;
    const reference = fullReference(name);
    const resolved = await images.resolve(reference, {
      platform,
      mode,
      name: `[context ${key}] load metadata for ${name}`,
    });
    const metadata = { name: `[context ${key}] ${name}` };
    const edge = imageEdge(resolved.reference, { platform: normalizePlatform(platform), mode, metadata });
    return { files: () => edge, image: readImage(resolved.config), config: resolved.config };
  }

  async #layout({ name, key, platform }: Found, text: string): Promise<LoadedContext> {
    const { store, digest } = readLayoutReference(text);
    const { domain, path } = withDefaultTag(parseImageReference(name));
    const reference = `${domain}/${path}@${digest}`;
    const { bridge, images, mode } = this.#ports;
    const resolved = await images.resolve(reference, {
      platform,
      mode,
      store,
      name: `[context ${key}] load metadata for ${reference}`,
    });
    const edge = layoutEdge(reference, {
      session: bridge.session.id,
      store,
      platform: normalizePlatform(platform),
      metadata: { name: `[context ${key}] OCI load from client` },
    });
    return { files: () => edge, image: readImage(resolved.config), config: resolved.config };
  }

  async #local({ key }: Found, name: string): Promise<LoadedContext> {
    const { bridge, request } = this.#ports;
    const session = localSession(request.options, bridge, name);
    const excludePatterns = await loadIgnoreFile(bridge, {
      directory: name,
      session,
      sharedKeyHint: `context:${key}-.dockerignore`,
      name: `[context ${key}] load .dockerignore`,
    });
    const files = (followPaths: readonly string[] | undefined) =>
      localEdge(
        {
          name,
          session,
          excludePatterns,
          ...(followPaths && { followPaths }),
          sharedKeyHint: `context:${key}-${request.options[`sharedkey:localdir:${key}`] ?? ''}`,
        },
        { name: `[context ${key}] load from client` },
      );
    return { files };
  }

  #input({ key }: Found, name: string): LoadedContext {
    const { inputs, options } = this.#ports.request;
    if (!Object.hasOwn(inputs, name)) throw invalid(`invalid input ${name} for ${key}`);
    const edge = inputs[name];
    const config = inputConfig(options[`input-metadata:${name}`], key);
    return { files: edge && (() => edge), ...(config && { image: readImage(config), config }) };
  }

  #remote({ key, value }: Found): LoadedContext {
    const git = readGitReference(value);
    if (git) {
      const edge = gitEdge(git, {
        ...(git.keepGitDir && { keepGitDir: true }),
        metadata: { name: `[internal] load git source ${value}` },
      });
      return { files: () => edge };
    }
    if (!/^https?:/.test(value)) throw invalid(`invalid git context ${value}`);
    const edge = httpEdge(value, { filename: 'context', metadata: { name: `[context ${key}] ${value}` } });
    return { files: () => edge };
  }
}

/** `store@sha256:…`, perhaps with a tag before the digest. */
function readLayoutReference(text: string): { store: string; digest: string } {
  const match = /^([^@]+?)(?::[\w][\w.-]{0,127})?@(sha(?:256|512):[0-9a-f]+)$/.exec(text);
  if (match) return { store: match[1]!, digest: match[2]! };
  if (text.includes('@')) throw invalid(`could not parse oci-layout reference ${JSON.stringify(text)}`);
  throw invalid(`oci-layout reference ${JSON.stringify(text)} has no digest`);
}

/** The image configuration in an input's metadata: JSON with base64 members. */
function inputConfig(text: string | undefined, key: string): Uint8Array | undefined {
  if (text === undefined) return undefined;
  let metadata: unknown;
  try {
    metadata = JSON.parse(text);
  } catch (cause) {
    throw invalid(`failed to parse input metadata ${text.slice(0, 200)}`, { cause });
  }
  const config = (metadata as Record<string, unknown> | null)?.['containerimage.config'];
  if (config === undefined) return undefined;
  if (typeof config !== 'string') throw invalid(`failed to parse image config for ${key}`);
  return Buffer.from(config, 'base64');
}
