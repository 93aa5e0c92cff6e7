import type { Vertex } from '../llb/vertex.ts';
import { digestSet } from './attestation.ts';
import type { GraphSource } from './graph-inputs.ts';
import { imagePurl } from './image-purl.ts';
import { withoutCredentials } from './without-credentials.ts';

/** Something that a result was made of (SLSA's ResourceDescriptor). */
export interface Dependency {
  readonly uri: string;
  readonly digest?: Readonly<Record<string, string>>;
}

/** What is known of sources beside what a graph says. */
export interface KnownSources {
  /**
   * What a source stood for when it was brought: an image's manifest digest, a commit, a download's digest. undefined:
   * unknown, or a client's directory.
   */
  readonly resolved: (vertex: Vertex) => string | undefined;
  /** Images as they were asked for: what was not asked for by its digest is not named by it. */
  readonly asked?: ReadonlySet<string>;
}

/** What a graph was made of, each thing once. */
export function dependenciesOf(sources: readonly GraphSource[], known: KnownSources): Dependency[] {
  const found = sources.flatMap((source) => dependencyOf(source, known) ?? []);
  return [...new Map(found.map((dependency) => [dependency.uri, dependency])).values()];
}

function dependencyOf(
  { vertex, scheme, locator }: GraphSource,
  { resolved: resolve, asked }: KnownSources,
): Dependency | undefined {
  const resolved = resolve(vertex);
  switch (scheme) {
    case 'docker-image':
    case 'oci-layout': {
      const digest = /@(sha256:[0-9a-f]{64})$/.exec(locator)?.[1] ?? resolved;
      const reference = locator.replace(/@sha256:[0-9a-f]{64}$/, '');
      const type = scheme === 'docker-image' ? 'docker' : 'oci';
      const named = digest && !asked?.has(reference) ? `${reference}@${digest}` : reference;
      const uri = imagePurl(named, vertex.platform, type);
      return { uri, ...(digest && { digest: digestSet(digest) }) };
    }
    case 'docker-image+blob':
    case 'oci-layout+blob': {
      const type = scheme === 'docker-image+blob' ? 'docker' : 'oci';
      const uri = `${imagePurl(locator, undefined, type)}&ref_type=blob`;
      return { uri, ...(resolved && { digest: digestSet(resolved) }) };
    }
    case 'git': {
      const [repository = '', fragment = ''] = locator.split('#', 2);
      const remote = vertex.op.attrs['git.fullurl'] || `git://${repository}`;
      const uri = withoutCredentials(gitUri(remote, fragment.split(':', 1)[0]!));
      const commit = resolved && { [resolved.length === 64 ? 'sha256' : 'sha1']: resolved };
      return { uri, ...(commit && { digest: commit }) };
    }
    case 'http':
    case 'https': {
      const uri = withoutCredentials(`${scheme}://${locator}`);
      return { uri, ...(resolved && { digest: digestSet(resolved) }) };
    }
    default:
      return undefined;
  }
}

/** A repository at a ref, as BuildKit names it; '' for its default branch. */
export function gitUri(remote: string, ref: string): string {
  return ref === '' ? remote : `${remote}#${ref}`;
}
