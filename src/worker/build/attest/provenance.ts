import { formatPlatform, hostPlatform } from '#oci/platform.ts';
import { canonicalJson } from '../llb/canonical-json.ts';
import type { Edge, Vertex } from '../llb/vertex.ts';
import { type Attestation, digestSet } from './attestation.ts';
import type { ProvenanceOptions } from './attestation-options.ts';
import { type GraphInputs, type GraphSource, graphInputs } from './graph-inputs.ts';
import { imagePurl } from './image-purl.ts';

/** What provenance is made of. */
export interface ProvenanceFacts {
  readonly edge: Edge | undefined;
  /** What the frontend has looked at to make a graph, such as the Dockerfile. */
  readonly consulted?: readonly Edge[];
  readonly frontend: string;
  readonly frontendOptions: Readonly<Record<string, string>>;
  /** The build's own name. */
  readonly invocationId: string;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  /**
   * What a source stood for when it was brought: an image's manifest digest, a commit, a download's digest. undefined:
   * unknown, or a client's directory.
   */
  readonly resolved: (vertex: Vertex) => string | undefined;
}

interface Dependency {
  readonly uri: string;
  readonly digest?: Readonly<Record<string, string>>;
}

const BUILD_TYPE = {
  v1: 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md',
  'v0.2': 'https://mobyproject.org/buildkit@v1',
} as const;
const PREDICATE_TYPE = {
  v1: 'https://slsa.dev/provenance/v1',
  'v0.2': 'https://slsa.dev/provenance/v0.2',
} as const;

/** Options that say nothing of what was built, or that are not to be told. */
const LEFT_OUT = /^(?:attest:|cgroup-parent$|image-resolve-mode$|platform$|cache-imports$)/;

/** How an image was made: SLSA provenance in BuildKit's form (docs/attestations/slsa-definitions.md). */
export function provenanceOf(facts: ProvenanceFacts, options: ProvenanceOptions): Attestation {
  const inputs = graphInputs(facts.edge);
  const predicate = options.version === 'v1' ? slsa1(facts, inputs, options) : slsa02(facts, inputs, options);
  return {
    predicateType: PREDICATE_TYPE[options.version],
    filename: 'provenance.json',
    predicate,
    inlineOnly: options.inlineOnly,
  };
}

function slsa1(facts: ProvenanceFacts, inputs: GraphInputs, options: ProvenanceOptions): object {
  const { configSource, request, complete } = requestOf(facts, inputs, options);
  const dependencies = dependenciesOf(facts, inputs);
  const max = options.mode === 'max';
  return {
    buildDefinition: {
      buildType: BUILD_TYPE.v1,
      externalParameters: { configSource, request },
      internalParameters: {
        ...(max && { buildConfig: buildConfigOf(inputs) }),
        builderPlatform: formatPlatform(hostPlatform()),
      },
      resolvedDependencies: dependencies,
    },
    runDetails: {
      builder: { id: options.builderId },
      metadata: {
        invocationId: facts.invocationId,
        startedOn: facts.startedAt.toISOString(),
        finishedOn: facts.finishedAt.toISOString(),
        buildkit_metadata: metadataOf(facts, inputs, max),
        ...(isHermetic(inputs) && { buildkit_hermetic: true }),
        buildkit_completeness: { request: complete, resolvedDependencies: !hasLocals(inputs) },
        ...(options.reproducible && { buildkit_reproducible: true }),
      },
    },
  };
}

function slsa02(facts: ProvenanceFacts, inputs: GraphInputs, options: ProvenanceOptions): object {
  const { configSource, request, complete } = requestOf(facts, inputs, options);
  const { path, ...source } = configSource;
  const max = options.mode === 'max';
  return {
    builder: { id: options.builderId },
    buildType: BUILD_TYPE['v0.2'],
    materials: dependenciesOf(facts, inputs),
    invocation: {
      configSource: { ...source, ...(path && { entryPoint: path }) },
      parameters: request,
      environment: { platform: formatPlatform(hostPlatform()) },
    },
    ...(max && { buildConfig: buildConfigOf(inputs) }),
    metadata: {
      buildInvocationID: facts.invocationId,
      buildStartedOn: facts.startedAt.toISOString(),
      buildFinishedOn: facts.finishedAt.toISOString(),
      completeness: { parameters: complete, environment: true, materials: !hasLocals(inputs) },
      reproducible: options.reproducible,
      'https://mobyproject.org/buildkit@v1#metadata': metadataOf(facts, inputs, max),
      ...(isHermetic(inputs) && { 'https://mobyproject.org/buildkit@v1#hermetic': true }),
    },
  };
}

/** What the user asked for. `min` leaves out what may be private: arguments, labels, names of secrets. */
function requestOf(facts: ProvenanceFacts, inputs: GraphInputs, { mode }: ProvenanceOptions) {
  const options = Object.entries(facts.frontendOptions).filter(
    ([name]) => !LEFT_OUT.test(name) && !name.startsWith('vcs:'),
  );
  const args = new Map(options.map(([name, value]) => [name, withoutCredentials(value)]));
  const contextName = args.get('contextkey') ?? 'context';
  const context = args.get(contextName);
  args.delete(contextName);
  const path = args.get('filename');
  args.delete('filename');
  const min = mode === 'min';
  const isPrivate = (name: string) => /^(?:build-arg|label):/.test(name);
  const kept = [...args].filter(([name]) => !min || !isPrivate(name)).sort();
  const consulted = (facts.consulted ?? []).flatMap((edge) => graphInputs(edge).sources);
  const locals = [...inputs.sources, ...consulted]
    .filter(({ scheme }) => scheme === 'local')
    .map(({ locator }) => locator)
    .sort();
  const found =
    context === undefined ? undefined : dependenciesOf(facts, inputs).find(({ uri }) => uri === context);
  const scrubbed = kept.length < args.size || (min && inputs.secrets.length + inputs.agents.length > 0);
  return {
    configSource: {
      ...(context !== undefined && { uri: context }),
      ...(found?.digest && { digest: found.digest }),
      ...(path !== undefined && { path }),
    },
    request: {
      frontend: facts.frontend,
      ...(kept.length > 0 && { args: Object.fromEntries(kept) }),
      ...(!min && inputs.secrets.length > 0 && { secrets: inputs.secrets.map(wanted) }),
      ...(!min && inputs.agents.length > 0 && { ssh: inputs.agents.map(wanted) }),
      ...(locals.length > 0 && { locals: [...new Set(locals)].map((name) => ({ name })) }),
    },
    complete: facts.frontend !== '' && !scrubbed,
  };
}

function wanted({ id, optional }: { id: string; optional: boolean }): object {
  return { id, ...(optional && { optional }) };
}

function dependenciesOf(facts: ProvenanceFacts, { sources }: GraphInputs): Dependency[] {
  const found = sources.flatMap((source) => dependencyOf(source, facts.resolved(source.vertex)) ?? []);
  return [...new Map(found.map((dependency) => [dependency.uri, dependency])).values()];
}

function dependencyOf(
  { vertex, scheme, locator }: GraphSource,
  resolved: string | undefined,
): Dependency | undefined {
  switch (scheme) {
    case 'docker-image':
    case 'oci-layout': {
      const digest = /@(sha256:[0-9a-f]{64})$/.exec(locator)?.[1] ?? resolved;
      const reference = locator.replace(/@sha256:[0-9a-f]{64}$/, '');
      const type = scheme === 'docker-image' ? 'docker' : 'oci';
      const uri = imagePurl(digest ? `${reference}@${digest}` : reference, vertex.platform, type);
      return { uri, ...(digest && { digest: digestSet(digest) }) };
    }
    case 'git': {
      const uri = withoutCredentials(vertex.op.attrs['git.fullurl'] ?? `git://${locator}`);
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

/** The graph itself, steps in an order in which they can be done. */
function buildConfigOf({ vertices }: GraphInputs): object {
  const steps = new Map(vertices.map(({ digest }, at) => [digest, `step${at}`]));
  return {
    llbDefinition: vertices.map(({ digest, op, inputs }) => ({
      id: steps.get(digest),
      op: JSON.parse(canonicalJson(withoutSession(op))),
      ...(inputs.length > 0 && {
        inputs: inputs.map(({ vertex, output }) => `${steps.get(vertex.digest)}:${output}`),
      }),
    })),
    digestMapping: Object.fromEntries(steps),
  };
}

/** Where the source was kept; and, for `max`, the Dockerfile itself with the place of every step in it. */
function metadataOf({ frontendOptions }: ProvenanceFacts, { vertices }: GraphInputs, max: boolean): object {
  const vcs = Object.entries(frontendOptions)
    .filter(([name, value]) => name.startsWith('vcs:') && value !== '')
    .map(([name, value]) => [name.slice('vcs:'.length), withoutCredentials(value)]);
  const located = vertices.flatMap(({ metadata }, at) =>
    metadata.source ? [{ at, source: metadata.source }] : [],
  );
  const infos = [...new Map(located.map(({ source }) => [source.info.filename, source.info])).values()];
  const locations = located.map(({ at, source }) => [
    `step${at}`,
    {
      locations: [
        {
          sourceIndex: infos.findIndex(({ filename }) => filename === source.info.filename),
          ranges: source.ranges.map(({ start, end }) => ({ start: place(start), end: place(end) })),
        },
      ],
    },
  ]);
  return {
    ...(vcs.length > 0 && { vcs: Object.fromEntries(vcs) }),
    ...(max &&
      located.length > 0 && {
        source: {
          locations: Object.fromEntries(locations),
          infos: infos.map(({ filename, language, data }) => ({
            filename,
            language,
            data: Buffer.from(data).toString('base64'),
          })),
        },
      }),
  };
}

/** Whose directory it was is nobody's business, and another each time. */
function withoutSession(op: Vertex['op']): Vertex['op'] {
  if (op.kind !== 'source') return op;
  const { 'local.session': _, 'oci.session': __, ...attrs } = op.attrs;
  return { ...op, attrs };
}

function place({ line, character }: { readonly line: number; readonly character: number }): object {
  return { line, ...(character !== 0 && { character }) };
}

function isHermetic(inputs: GraphInputs): boolean {
  return !hasLocals(inputs) && !inputs.network;
}

/** What a client sent cannot be fetched again. */
function hasLocals({ sources }: GraphInputs): boolean {
  return sources.some(({ scheme }) => scheme === 'local');
}

function withoutCredentials(text: string): string {
  return text.replace(/^([a-z+]+:\/\/)[^/@\s]+@/i, '$1xxxxx@');
}
