import type { Platform } from '#oci/platform.ts';
import type { CompiledDockerfile } from './compile/compile-dockerfile.ts';
import type { FrontendResult } from './frontend.ts';
import { normalizePlatform, platformId } from './platforms.ts';

export interface PlatformResult {
  readonly platform: Platform;
  readonly compiled: CompiledDockerfile;
}

/** Graphs and configurations in the shape that exporters take; one alone has no platform in its names. */
export function resultOf(
  results: readonly PlatformResult[],
  { multiPlatform }: { readonly multiPlatform: boolean },
): FrontendResult {
  const refs = new Map<string, CompiledDockerfile['edge']>();
  const metadata = new Map<string, Uint8Array>();
  const extras = new Map<string, CompiledDockerfile['extras']>();
  for (const { platform, compiled } of results) {
    const id = platformId(platform);
    const suffix = multiPlatform ? `/${id}` : '';
    refs.set(multiPlatform ? id : '', compiled.edge);
    extras.set(multiPlatform ? id : '', compiled.extras);
    metadata.set(`containerimage.config${suffix}`, compiled.config);
    if (compiled.baseConfig) metadata.set(`containerimage.base.config${suffix}`, compiled.baseConfig);
    const { epoch } = compiled;
    if (epoch) metadata.set(`source.date.epoch${suffix}`, Buffer.from(String(epoch.getTime() / 1000)));
  }
  metadata.set('refs.platforms', Buffer.from(JSON.stringify(platformsOf(results))));
  return { refs, metadata, extras };
}

function platformsOf(results: readonly PlatformResult[]) {
  return {
    Platforms: results.map(({ platform, compiled }) => {
      const said = withVersion(platform, compiled.config);
      const { architecture, os, variant, ...rest } = normalizePlatform(said);
      return {
        ID: platformId(platform),
        Platform: { architecture, os, ...rest, ...(variant && { variant }) },
      };
    }),
  };
}

/** Windows has versions, which an image inherits where none was asked for. */
function withVersion(platform: Platform, config: Uint8Array): Platform {
  if (platform.os !== 'windows' || platform['os.version']) return platform;
  const image = JSON.parse(Buffer.from(config).toString('utf8')) as Partial<Platform>;
  if (image.os !== platform.os || !image['os.version']) return platform;
  return { ...platform, 'os.version': image['os.version'] };
}
