import { formatPlatform, hostPlatform } from '#oci/platform.ts';
import { readGitReference } from '../frontend/inputs/git-reference.ts';
import type { Edge } from '../llb/vertex.ts';
import type { Attestation } from './attestation.ts';
import type { ProvenanceOptions } from './attestation-options.ts';
import { type Dependency, dependenciesOf, gitUri, type KnownSources } from './dependencies.ts';
import { type GraphInputs, type GraphSource, graphInputs } from './graph-inputs.ts';
import { configOf, layersOf, type OutcomeLayers, sourceOf, type ToldLayers } from './graph-metadata.ts';
import type { TellGraph, ToldGraph } from './graph-words.ts';
import { withoutCredentials } from './without-credentials.ts';

/** What provenance is made of. */
export interface ProvenanceFacts extends KnownSources {
  readonly edge: Edge | undefined;
  /** What the frontend has looked at to make a graph, such as the Dockerfile. */
  readonly consulted?: readonly Edge[];
  readonly frontend: string;
  readonly frontendOptions: Readonly<Record<string, string>>;
  /** The build's own name. */
  readonly invocationId: string;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly tell: TellGraph;
  /** The layers of each vertex's outcomes, bottom first, as far as they are known. */
  readonly layers?: OutcomeLayers;
}

const BUILD_TYPE = {
  v1: 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md',
  'v0.2': 'https://mobyproject.org/buildkit@v1',
} as const;
const PREDICATE_TYPE = {
  v1: 'https://slsa.dev/provenance/v1',
  'v0.2': 'https://slsa.dev/provenance/v0.2',
} as const;

/** The newest syntax of Dockerfiles that is understood. */
const DOCKERFILE_VERSION = '1.26.0';

/** Options that say nothing of what was built, or that are not to be told. */
const LEFT_OUT = /^(?:attest:|cgroup-parent$|image-resolve-mode$|platform$|cache-imports$)/;

/** How an image was made: SLSA provenance in BuildKit's form (docs/attestations/slsa-definitions.md). */
export function provenanceOf(facts: ProvenanceFacts, options: ProvenanceOptions): Attestation {
  const made = { facts, options, ...takenIn(facts), told: toldGraph(facts, options) };
  const of = options.version === 'v1' ? slsa1 : slsa02;
  const { told } = made;
  const { layers } = facts;
  return {
    predicateType: PREDICATE_TYPE[options.version],
    filename: 'provenance.json',
    predicate: of(made, {}),
    inlineOnly: options.inlineOnly,
    ...(told && layers && { withLayers: (blobs) => of(made, layersOf(told, layers, blobs)) }),
  };
}

/** All that predicates are made of. */
interface Made {
  readonly facts: ProvenanceFacts;
  readonly options: ProvenanceOptions;
  readonly inputs: GraphInputs;
  /** What the graph takes in, and what was looked at to make it. */
  readonly sources: readonly GraphSource[];
  readonly network: boolean;
  /** Of mode `max` alone. */
  readonly told: ToldGraph | undefined;
}

function takenIn({ edge, consulted = [] }: ProvenanceFacts): Pick<Made, 'inputs' | 'sources' | 'network'> {
  const inputs = graphInputs(edge);
  const all = [inputs, ...consulted.map(graphInputs)];
  const sources = new Map(
    all.flatMap(({ sources }) => sources).map((source) => [source.vertex.digest, source]),
  );
  return { inputs, sources: [...sources.values()], network: all.some(({ network }) => network) };
}

function toldGraph({ edge, tell }: ProvenanceFacts, { mode }: ProvenanceOptions): ToldGraph | undefined {
  return mode === 'max' && edge ? tell(edge) : undefined;
}

function slsa1(made: Made, layers: ToldLayers): object {
  const { facts, options, told, sources } = made;
  const { configSource, request, complete } = requestOf(made);
  return {
    buildDefinition: {
      buildType: BUILD_TYPE.v1,
      externalParameters: { configSource, request },
      internalParameters: {
        ...(told && { buildConfig: configOf(told) }),
        builderPlatform: formatPlatform(hostPlatform()),
        ...versionOf(facts),
      },
      resolvedDependencies: dependenciesOf(sources, facts),
    },
    runDetails: {
      builder: { id: options.builderId },
      metadata: {
        invocationId: facts.invocationId,
        startedOn: facts.startedAt.toISOString(),
        finishedOn: facts.finishedAt.toISOString(),
        buildkit_metadata: metadataOf(made, layers),
        ...(isHermetic(made) && { buildkit_hermetic: true }),
        buildkit_completeness: { request: complete, resolvedDependencies: !hasLocals(sources) },
        ...(options.reproducible && { buildkit_reproducible: true }),
      },
    },
  };
}

function slsa02(made: Made, layers: ToldLayers): object {
  const { facts, options, told, sources } = made;
  const { configSource, request, complete } = requestOf(made);
  const { path, ...source } = configSource;
  return {
    builder: { id: options.builderId },
    buildType: BUILD_TYPE['v0.2'],
    materials: dependenciesOf(sources, facts),
    invocation: {
      configSource: { ...source, ...(path && { entryPoint: path }) },
      parameters: request,
      environment: { platform: formatPlatform(hostPlatform()), ...versionOf(facts) },
    },
    ...(told && { buildConfig: configOf(told) }),
    metadata: {
      buildInvocationID: facts.invocationId,
      buildStartedOn: facts.startedAt.toISOString(),
      buildFinishedOn: facts.finishedAt.toISOString(),
      completeness: { parameters: complete, environment: true, materials: !hasLocals(sources) },
      reproducible: options.reproducible,
      'https://mobyproject.org/buildkit@v1#metadata': metadataOf(made, layers),
      ...(isHermetic(made) && { 'https://mobyproject.org/buildkit@v1#hermetic': true }),
    },
  };
}

function versionOf({ frontend }: ProvenanceFacts) {
  return frontend === 'dockerfile.v0' && { dockerfileVersion: DOCKERFILE_VERSION };
}

/** What the user asked for. `min` leaves out what may be private: arguments, labels, names of secrets. */
function requestOf({ facts, options: { mode }, inputs, sources }: Made) {
  const options = Object.entries(facts.frontendOptions).filter(
    ([name]) => !LEFT_OUT.test(name) && !name.startsWith('vcs:'),
  );
  const args = new Map(options.map(([name, value]) => [name, withoutCredentials(value)]));
  const contextName = args.get('contextkey') || (args.get('input:context') ? 'input:context' : 'context');
  const context = args.get(contextName);
  args.delete(contextName);
  const path = args.get('filename');
  args.delete('filename');
  const min = mode === 'min';
  const isPrivate = (name: string) => /^(?:build-arg|label):/.test(name);
  const kept = [...args].filter(([name]) => !min || !isPrivate(name)).sort();
  const locals = new Set(sources.filter(isLocal).map(({ locator }) => locator));
  const { secrets, agents } = inputs;
  return {
    configSource: {
      ...(context && configSourceOf(context, dependenciesOf(sources, facts))),
      ...(path !== undefined && { path }),
    },
    request: {
      frontend: facts.frontend,
      ...(kept.length > 0 && { args: Object.fromEntries(kept) }),
      ...(!min && secrets.length > 0 && { secrets: secrets.map(wanted) }),
      ...(!min && agents.length > 0 && { ssh: agents.map(wanted) }),
      ...(locals.size > 0 && { locals: [...locals].sort().map((name) => ({ name })) }),
    },
    complete: facts.frontend !== '' && kept.length === args.size,
  };
}

/** A context that is fetched, as what it was then. A repository is named by its URL and its ref alone. */
function configSourceOf(context: string, dependencies: readonly Dependency[]): Dependency {
  const git = readGitReference(context);
  const { ref = '', subdir } = git ?? {};
  const uri = git ? gitUri(git.remote, ref) : context;
  const found = dependencies.find((dependency) => dependency.uri === uri);
  if (!found) return { uri: context };
  const { digest } = found;
  const place = git && subdir ? `${git.remote}#${ref}:${subdir}` : uri;
  return { uri: place, ...(digest && { digest }) };
}

function wanted({ id, optional }: { id: string; optional: boolean }): object {
  return { id, ...(optional && { optional }) };
}

/** Where the source was kept; and, for `max`, the Dockerfile itself with the place of every step in it. */
function metadataOf({ facts, inputs, told }: Made, layers: ToldLayers): object {
  const vcs = Object.entries(facts.frontendOptions)
    .filter(([name, value]) => name.startsWith('vcs:') && value !== '')
    .map(([name, value]) => [name.slice('vcs:'.length), withoutCredentials(value)]);
  return {
    ...(vcs.length > 0 && { vcs: Object.fromEntries(vcs) }),
    ...(told && sourceOf(inputs.vertices, told, facts.tell)),
    ...(Object.keys(layers).length > 0 && { layers }),
  };
}

function isHermetic({ sources, network }: Made): boolean {
  return !hasLocals(sources) && !network;
}

/** What a client sent cannot be fetched again. */
function hasLocals(sources: readonly GraphSource[]): boolean {
  return sources.some(isLocal);
}

function isLocal({ scheme }: GraphSource): boolean {
  return scheme === 'local';
}
