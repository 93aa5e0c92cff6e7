import type { BuildStart } from '#worker/build/build-service.ts';
import { frontendOptions } from '#worker/build/classic/frontend-options.ts';
import type { BuildRequest } from './build-request.ts';

/** In the engine's store. */
const IMAGE = 'moby';

/** A type that stands for no exporter at all. */
const NOTHING = 'cacheonly';

/** What a request asks for, in BuildKit's words (moby, daemon/internal/builder-next/builder.go). `ref`: of the build. */
export function requestStart(request: BuildRequest, ref: string): BuildStart {
  const { network, extraHosts, limits, sessionId, cacheFrom } = request;
  const hosts = extraHosts.map(({ host, ip }) => `${host}=${ip}`);
  return {
    ref,
    sessionId,
    frontend: 'dockerfile.v0',
    frontendOptions: {
      ...frontendOptions(request, remoteOf(request)),
      ...(network !== 'default' && { 'force-network-mode': network }),
      ...(hosts.length > 0 && { 'add-hosts': hosts.join(',') }),
    },
    frontendInputs: {},
    exporters: exportersOf(request),
    cacheExports: /^(?:1|t|true)$/i.test(request.buildArgs.BUILDKIT_INLINE_CACHE ?? '')
      ? [{ type: 'inline', attrs: {} }]
      : [],
    cacheImports: cacheFrom.map((image) => ({ type: 'registry', attrs: { ref: image } })),
    entitlements: [],
    // As any container of the engine's may, where it is asked for.
    limits: { ...limits, entitlements: new Set(network === 'host' ? (['network.host'] as const) : []) },
    internal: false,
  };
}

/** Whether an image comes of it, whose ID the client wants to know. */
export function makesImage({ output }: BuildRequest): boolean {
  return output === undefined || output.type === IMAGE || output.type === 'image';
}

function remoteOf({ context }: BuildRequest): { readonly remote?: string } {
  return typeof context === 'object' && 'remote' in context ? context : {};
}

function exportersOf(request: BuildRequest): BuildStart['exporters'] {
  const { type, attrs } = request.output ?? { type: IMAGE, attrs: {} };
  if (type === NOTHING) return [];
  const { SOURCE_DATE_EPOCH: epoch } = request.buildArgs;
  const named: Record<string, string> = {};
  if (makesImage(request) && request.tags.length > 0) named.name = request.tags.join(',');
  const times: Record<string, string> = epoch && /^\d+$/.test(epoch) ? { 'source-date-epoch': epoch } : {};
  return [{ type, attrs: { ...times, ...attrs, ...named } }];
}
