import type { S3Access } from './s3-server.ts';

/** The settings, as variables, of a Slipway that keeps its content below a prefix of the server's bucket. */
export function s3Environment(
  access: S3Access,
  options: { prefix: string; redirect?: 'never' | 'always' },
): Record<string, string> {
  return {
    SLIPWAY_REGISTRY_STORAGE_DRIVER: 's3',
    SLIPWAY_REGISTRY_STORAGE_S3_ENDPOINT: access.endpoint,
    SLIPWAY_REGISTRY_STORAGE_S3_REGION: access.region,
    SLIPWAY_REGISTRY_STORAGE_S3_BUCKET: access.bucket,
    SLIPWAY_REGISTRY_STORAGE_S3_PREFIX: options.prefix,
    SLIPWAY_REGISTRY_STORAGE_S3_PATH_STYLE: 'true',
    SLIPWAY_REGISTRY_STORAGE_S3_REDIRECT_MODE: options.redirect ?? 'never',
    AWS_ACCESS_KEY_ID: access.accessKeyId,
    AWS_SECRET_ACCESS_KEY: access.secretAccessKey,
  };
}
