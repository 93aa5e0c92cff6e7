import { invalid, isKind, unsupported } from '#errors/errors.ts';
import { hostPlatform } from '#oci/platform.ts';
import type { Build, BuildService } from '#worker/build/build-service.ts';
import type { FileStat } from '#worker/build/frontend/frontend.ts';
import { readInputs } from '../control/build-start.ts';
import { type WorkerFacts, workerRecord } from '../control/worker-record.ts';
import { platformFromPb } from '../definition/platform-pb.ts';
import { readDefinition } from '../definition/read-definition.ts';
import { rangesFromPb, sourceInfoFromPb } from '../definition/source-pb.ts';
import { Code, GrpcError } from '../grpc/grpc-error.ts';
import type { ServerCall, ServiceHandlers } from '../grpc/server-call.ts';
import { policyFromPb } from '../policy/policy-pb.ts';
import { resolveMode, sourceMetaToPb, sourceQuestion } from '../policy/source-meta-pb.ts';
import type { LLBBridge } from '../proto/github.com/moby/buildkit/frontend/gateway/pb/gateway_pb.ts';
import type { Platform as PbPlatform } from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import type { BridgeState, BridgeStates } from './bridge-state.ts';
import { FRONTEND_CAPABILITIES, GRAPH_CAPABILITIES } from './capabilities.ts';
import { frontendOf } from './frontend-name.ts';
import { resultFromPb, resultToPb } from './frontend-result.ts';

export interface GatewayParts {
  readonly builds: BuildService;
  readonly bridges: BridgeStates;
  readonly worker: WorkerFacts;
}

/**
 * `moby.buildkit.v1.frontend.LLBBridge`: what a client's own frontend (buildx and buildctl have one) asks of the build that
 * it has begun.
 */
export function gatewayService({ builds, bridges, worker }: GatewayParts): ServiceHandlers<typeof LLBBridge> {
  const find = async (call: ServerCall): Promise<{ build: Build; state: BridgeState }> => {
    const ref = call.metadata.get('buildkit-controlapi-buildid');
    if (!ref) throw invalid('no buildid found in context');
    const build = await builds.find(ref, { signal: call.signal }).catch((error: unknown) => {
      throw isKind(error, 'not-found')
        ? new GrpcError(Code.notFound, error.message, { cause: error })
        : error;
    });
    return { build, state: bridges.of(build) };
  };
  const refOf = async (call: ServerCall, id: string) => {
    const { build, state } = await find(call);
    const edge = state.find(id);
    if (!edge) throw invalid(`empty ref: ${id}`);
    return { bridge: build.bridge, ref: await build.bridge.solve(edge) };
  };
  return {
    async ping(_request, call) {
      await find(call);
      return {
        FrontendAPICaps: FRONTEND_CAPABILITIES.map(enabled),
        LLBCaps: GRAPH_CAPABILITIES.map(enabled),
        Workers: [await workerRecord(worker)],
      };
    },
    async solve(request, call) {
      const { build, state } = await find(call);
      const policies = request.SourcePolicies.map(policyFromPb);
      const { FrontendOpt: options, Frontend: frontend, Definition: definition } = request;
      const caches = request.CacheImports.map(({ Type: type, Attrs: attrs }) => ({ type, attrs }));
      await build.importCaches(caches);
      if (frontend) {
        const inputs = readInputs(request.FrontendInputs);
        const result = await build.runFrontend(frontendOf(frontend, options), { options, inputs });
        if (request.Evaluate) {
          await Promise.all([...result.refs.values()].map((edge) => edge && build.bridge.solve(edge)));
        }
        return resultToPb(result, state, request);
      }
      const read = definition && readDefinition(definition, state.digests);
      const edge = read && (await build.bridge.allowed(read, policies));
      if (edge && request.Evaluate) await build.bridge.solve(edge);
      return resultToPb({ refs: new Map([['', edge]]), metadata: new Map() }, state, request);
    },
    async return({ result, error }, call) {
      const { build, state } = await find(call);
      if (error) build.fail(new GrpcError(error.code, error.message, { details: error.details }));
      else if (result) build.finish(resultFromPb(result, state));
      else throw invalid('neither a result nor an error');
      return {};
    },
    async resolveImageConfig(request, call) {
      const { build } = await find(call);
      const image = await build.bridge.resolveImage(request.Ref, {
        platform: platformOf(request.Platform),
        mode: resolveMode(request.ResolveMode),
        name: request.LogName || `resolve image config for ${request.Ref}`,
        ...(request.ResolverType === OCI_LAYOUT && { store: request.StoreID }),
        policies: request.SourcePolicies.map(policyFromPb),
      });
      return { Digest: image.digest, Config: image.config, Ref: image.reference };
    },
    async resolveSourceMeta(request, call) {
      const { build } = await find(call);
      const { source, ...options } = sourceQuestion(request);
      const policies = request.SourcePolicies.map(policyFromPb);
      return sourceMetaToPb(await build.bridge.resolveSource(source, { ...options, policies }));
    },
    async readFile({ Ref: id, FilePath: path, Range: range }, call) {
      const { bridge, ref } = await refOf(call, id);
      const part = range && { offset: Number(range.Offset), length: Number(range.Length) };
      return { Data: await bridge.readFile(ref, path, part) };
    },
    async readDir({ Ref: id, DirPath: path, IncludePattern: include }, call) {
      const { bridge, ref } = await refOf(call, id);
      const entries = await bridge.readDirectory(ref, path, include || undefined);
      return { entries: entries.map(statToPb) };
    },
    async statFile({ Ref: id, Path: path }, call) {
      const { bridge, ref } = await refOf(call, id);
      return { stat: statToPb(await bridge.statFile(ref, path)) };
    },
    async evaluate({ Ref: id }, call) {
      await refOf(call, id);
      return {};
    },
    async inputs(_request, call) {
      const { state } = await find(call);
      return { Definitions: { ...state.inputs } };
    },
    async warn({ digest, level, short, detail, url, info, ranges }, call) {
      const { build, state } = await find(call);
      const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
      build.bridge.warn({
        level: Number(level),
        short: text(short),
        detail: detail.map(text),
        ...(digest && { vertex: state.digests.get(digest) ?? digest }),
        ...(url && { url }),
        ...(info && { source: { info: sourceInfoFromPb(info), ranges: rangesFromPb(ranges) } }),
      });
      return {};
    },
    async newContainer() {
      throw unsupported('containers of a frontend (gateway.exec) are not supported');
    },
  };
}

/** `ResolverType` of BuildKit's sourceresolver. */
const OCI_LAYOUT = 1;

function enabled(ID: string) {
  return { ID, Enabled: true };
}

function platformOf(platform: PbPlatform | undefined) {
  return platform ? platformFromPb(platform) : hostPlatform();
}

function statToPb(stat: FileStat) {
  return { ...stat, devmajor: BigInt(stat.devmajor), devminor: BigInt(stat.devminor) };
}
