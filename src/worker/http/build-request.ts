import { invalid } from '#errors/errors.ts';
import { parsePlatform } from '#oci/platform.ts';
import { familiarReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import type { ClassicRequest } from '../build/classic/classic-request.ts';
import type { BuildRequest } from '../buildkit/request/build-request.ts';
import { requestBody } from './body.ts';
import {
  buildLimits,
  buildOutputs,
  extraHosts,
  jsonObject,
  jsonStrings,
  registryAuth,
} from './build-query.ts';
import { booleanQuery, listQuery, stringQuery } from './query.ts';
import type { EngineContext } from './router.ts';

/** In a build's `buildid`, and in its place in `remote`: its context comes as a request of its own. */
const UPLOAD = 'upload-request';

/** `version`: 1 is the classic builder, 2 BuildKit. Throws `invalid`. */
export function usesBuildkit(ctx: EngineContext): boolean {
  const version = stringQuery(ctx, 'version') || '1';
  if (version !== '1' && version !== '2') throw invalid(`invalid version ${version}`);
  return version === '2';
}

/** Throws `invalid`. */
export function classicRequest(ctx: EngineContext): ClassicRequest {
  const remote = stringQuery(ctx, 'remote');
  if (buildOutputs(ctx).length > 0) throw invalid('the outputs option requires BuildKit');
  return {
    ...sharedRequest(ctx),
    context: remote ? { remote } : requestBody(ctx),
    tellRemoved: { succeeded: booleanQuery(ctx, 'rm', true), failed: booleanQuery(ctx, 'forcerm') },
  };
}

/** The build whose context this request brings; undefined: it is a build of its own. */
export function uploadFor(ctx: EngineContext): string | undefined {
  const id = stringQuery(ctx, 'buildid') ?? '';
  return id.startsWith(`${UPLOAD}:`) ? id.slice(UPLOAD.length + 1) : undefined;
}

/** Throws `invalid`. */
export function buildkitRequest(ctx: EngineContext): BuildRequest {
  const outputs = buildOutputs(ctx);
  if (outputs.length > 1) throw invalid('multiple outputs not supported');
  const shared = sharedRequest(ctx);
  if (!['default', 'host', 'none'].includes(shared.network)) {
    throw invalid(`network mode ${JSON.stringify(shared.network)} not supported by buildkit`);
  }
  return {
    ...shared,
    id: stringQuery(ctx, 'buildid') ?? '',
    sessionId: stringQuery(ctx, 'session') ?? '',
    context: buildkitContext(ctx),
    output: outputs[0],
  };
}

function buildkitContext(ctx: EngineContext): BuildRequest['context'] {
  const remote = stringQuery(ctx, 'remote');
  if (!remote) return requestBody(ctx);
  if (remote === UPLOAD) return 'upload';
  return remote === 'client-session' ? 'session' : { remote };
}

function sharedRequest(ctx: EngineContext): Omit<ClassicRequest, 'context' | 'tellRemoved'> {
  if (booleanQuery(ctx, 'squash')) throw invalid('squash is only supported with experimental mode');
  if (listQuery(ctx, 'securityopt').some(Boolean)) {
    throw invalid('The daemon on this platform does not support setting security options on build');
  }
  const target = stringQuery(ctx, 'target');
  const platform = stringQuery(ctx, 'platform');
  return {
    dockerfile: stringQuery(ctx, 'dockerfile') || 'Dockerfile',
    tags: tagsOf(ctx),
    buildArgs: jsonObject(ctx, 'buildargs', (value) => value === null || typeof value === 'string'),
    labels: jsonObject(ctx, 'labels', (value) => typeof value === 'string'),
    ...(target && { target }),
    noCache: booleanQuery(ctx, 'nocache'),
    cacheFrom: jsonStrings(ctx, 'cachefrom'),
    pull: booleanQuery(ctx, 'pull'),
    ...(platform && { platform: parsePlatform(platform) }),
    network: networkOf(ctx),
    extraHosts: extraHosts(ctx),
    limits: buildLimits(ctx),
    registryAuth: registryAuth(ctx),
  };
}

/** Each `t` as the CLI shows it, once. */
function tagsOf(ctx: EngineContext): string[] {
  const tags = listQuery(ctx, 't')
    .filter(Boolean)
    .map((text) => {
      const reference = parseImageReference(text);
      if (reference.digest) throw invalid('build tag cannot contain a digest');
      return familiarReference(withDefaultTag(reference));
    });
  return [...new Set(tags)];
}

function networkOf(ctx: EngineContext): string {
  const mode = stringQuery(ctx, 'networkmode') || 'default';
  if (mode.startsWith('container:')) throw invalid('a build cannot join the network of a container');
  return mode;
}
