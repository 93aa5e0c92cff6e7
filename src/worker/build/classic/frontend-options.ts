import { formatPlatform } from '#oci/platform.ts';
import type { ClassicRequest } from './classic-request.ts';

type Asked = Omit<ClassicRequest, 'context' | 'tellRemoved' | 'registryAuth'>;

/** What a request asks for in the words of a frontend. `remote`: where its context is, if that is not the client's. */
export function frontendOptions(request: Asked, { remote }: { remote?: string }): Record<string, string> {
  const { dockerfile, target, platform, noCache, pull } = request;
  const args = Object.entries(request.buildArgs).filter(
    (entry): entry is [string, string] => entry[1] !== null,
  );
  return {
    ...(remote && { context: remote }),
    filename: dockerfile,
    ...(target && { target }),
    ...(platform && { platform: formatPlatform(platform) }),
    ...(noCache && { 'no-cache': '' }),
    ...(pull && { 'image-resolve-mode': 'pull' }),
    ...Object.fromEntries(args.map(([name, value]) => [`build-arg:${name}`, value])),
    ...Object.fromEntries(Object.entries(request.labels).map(([name, value]) => [`label:${name}`, value])),
  };
}
