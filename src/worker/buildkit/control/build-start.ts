import { invalid } from '#errors/errors.ts';
import type { BuildStart, CacheOption } from '#worker/build/build-service.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';
import { readDefinition } from '../definition/read-definition.ts';
import { frontendOf } from '../gateway/frontend-name.ts';
import { policyFromPb } from '../policy/policy-pb.ts';
import type {
  CacheOptionsEntry,
  SolveRequest,
} from '../proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import type { Definition } from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import type { SessionManager } from '../session/session-manager.ts';

/** What is to be built. Throws `invalid` and `unsupported` for what a build cannot begin with. */
export function buildStart(request: SolveRequest, sessions: Pick<SessionManager, 'policyOf'>): BuildStart {
  const { Ref: ref, Session: sessionId, Definition: definition, Frontend: name } = request;
  if (!ref) throw invalid('a build without a reference');
  if (name && definition && definition.def.length > 0)
    throw invalid('a build of both a frontend and a definition');
  const frontend = name ? frontendOf(name, request.FrontendAttrs) : undefined;
  // Not the same as none: a client that sends none has a graph made through the bridge.
  const graph = definition && (readDefinition(definition) ?? null);
  return {
    ref,
    sessionId,
    ...(frontend && { frontend }),
    frontendOptions: request.FrontendAttrs,
    frontendInputs: readInputs(request.FrontendInputs),
    ...(graph !== undefined && { definition: graph }),
    exporters: exportersOf(request),
    ...cachesOf(request),
    entitlements: request.Entitlements,
    ...(request.SourcePolicy && { policies: [policyFromPb(request.SourcePolicy)] }),
    ...(request.SourcePolicySession && { verifier: sessions.policyOf(request.SourcePolicySession) }),
    internal: request.Internal,
  };
}

/** Empty file systems are no inputs. Throws `invalid` for what a client has left out, in BuildKit's words. */
export function readInputs(inputs: Readonly<Record<string, Definition>>): Record<string, Edge> {
  const isNil = ({ def, metadata }: Definition) => def.length === 0 && Object.keys(metadata).length === 0;
  if (Object.values(inputs).some(isNil)) throw invalid('invalid nil input definition to definition op');
  const read = Object.entries(inputs).map(
    ([name, definition]) => [name, readDefinition(definition)] as const,
  );
  return Object.fromEntries(read.filter((entry): entry is [string, Edge] => entry[1] !== undefined));
}

/** Clients before v0.13 knew of one. A build's SOURCE_DATE_EPOCH is its exporters' too, whatever makes the graph. */
function exportersOf(request: SolveRequest): BuildStart['exporters'] {
  const epoch = request.FrontendAttrs['build-arg:SOURCE_DATE_EPOCH'];
  const times: Record<string, string> = epoch && /^\d+$/.test(epoch) ? { 'source-date-epoch': epoch } : {};
  if (request.Exporters.length > 0) {
    return request.Exporters.map(({ Type: type, Attrs: attrs }) => ({ type, attrs: { ...times, ...attrs } }));
  }
  const { ExporterDeprecated: type, ExporterAttrsDeprecated: attrs } = request;
  return type ? [{ type, attrs: { ...times, ...attrs } }] : [];
}

/** Clients before v0.4 knew of registries alone. */
function cachesOf({ Cache: cache }: SolveRequest): {
  cacheExports: CacheOption[];
  cacheImports: CacheOption[];
} {
  if (!cache) return { cacheExports: [], cacheImports: [] };
  const cacheExports = cache.Exports.map(option);
  if (cache.ExportRefDeprecated) {
    const attrs = { ...cache.ExportAttrsDeprecated, ref: cache.ExportRefDeprecated };
    cacheExports.push({ type: 'registry', attrs });
  }
  const old = cache.ImportRefsDeprecated.map((ref) => ({ type: 'registry', attrs: { ref } }));
  return { cacheExports, cacheImports: [...cache.Imports.map(option), ...old] };
}

function option({ Type: type, Attrs: attrs }: CacheOptionsEntry): CacheOption {
  return { type, attrs };
}
