import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Platform } from '#oci/platform.ts';
import type {
  Platform as PbPlatform,
  PlatformSchema,
} from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

export function platformFromPb({ OS, Architecture, Variant, OSVersion, OSFeatures }: PbPlatform): Platform {
  return {
    os: OS,
    architecture: Architecture,
    ...(Variant && { variant: Variant }),
    ...(OSVersion && { 'os.version': OSVersion }),
    ...(OSFeatures.length > 0 && { 'os.features': OSFeatures }),
  };
}

export function platformToPb(platform: Platform): MessageInitShape<typeof PlatformSchema> {
  return {
    OS: platform.os,
    Architecture: platform.architecture,
    Variant: platform.variant ?? '',
    OSVersion: platform['os.version'] ?? '',
    OSFeatures: [...(platform['os.features'] ?? [])],
  };
}
