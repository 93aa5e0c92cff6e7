import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '#config/config-error.ts';
import type { Config } from '#config/schema.ts';
import type { ContentStore } from '#content/content-store.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import type { S3Encryption, S3Settings } from '#content/s3-settings.ts';
import { messageOf } from '#errors/errors.ts';

/** What of the configuration says where content is. */
export type ContentStorageConfig = Pick<Config, 'dataDir'> & {
  registry: { storage: Config['registry']['storage'] };
};

type S3Config = Config['registry']['storage']['s3'];

/** Loads the code of the store that the configuration names, while this process may still read all files. */
export async function loadContentStorage(config: ContentStorageConfig): Promise<void> {
  if (config.registry.storage.driver === 's3') await loadS3();
}

/** AWS's library is tens of megabytes of memory, for those who have a use for it. */
async function loadS3() {
  return await import('#content/s3-content-store.ts');
}

/** The store that the configuration names; disposing lets go of its connections. */
export interface ContentStorage extends AsyncDisposable {
  readonly content: ContentStore;
  /** Throws `invalid` when it refuses to be used, which somebody has to mend, and `unavailable` when it cannot be reached. */
  check(): Promise<void>;
}

export async function openContentStorage(config: ContentStorageConfig): Promise<ContentStorage> {
  const { driver, filesystem, s3 } = config.registry.storage;
  if (driver === 's3') return await openS3(s3);
  const content = new FilesystemContentStore(
    filesystem.directory ?? join(config.dataDir, 'registry', 'blobs'),
  );
  return { content, async check() {}, async [Symbol.asyncDispose]() {} };
}

async function openS3(config: S3Config): Promise<ContentStorage> {
  const { S3ContentStore } = await loadS3();
  const content = new S3ContentStore(await s3Settings(config));
  return {
    content,
    check: () => content.check(),
    [Symbol.asyncDispose]: () => content[Symbol.asyncDispose](),
  };
}

async function s3Settings(config: S3Config): Promise<S3Settings> {
  const { redirect, encryption, kmsKeyId, accessKeyId, secretAccessKeyFile, ...rest } = config;
  const { bucket, prefix, region, pathStyle, partSize, maxParts, maxConnections } = rest;
  const { attempts, connectTimeout, idleTimeout } = rest;
  const secret = secretAccessKeyFile === null ? undefined : await secretIn(secretAccessKeyFile);
  return {
    bucket,
    prefix,
    region,
    pathStyle,
    partSize,
    maxParts,
    maxConnections,
    attempts,
    connectTimeout,
    idleTimeout,
    endpoint: config.endpoint ?? undefined,
    signPayload: config.signPayload ?? undefined,
    publicEndpoint: redirect.endpoint ?? undefined,
    linkExpiry: redirect.expiry,
    credentials:
      accessKeyId !== null && secret !== undefined ? { accessKeyId, secretAccessKey: secret } : undefined,
    encryption: encryptionOf(encryption, kmsKeyId ?? undefined),
  };
}

function encryptionOf(algorithm: S3Config['encryption'], key: string | undefined): S3Encryption | undefined {
  if (algorithm === 'none') return undefined;
  return algorithm === 'AES256' ? { algorithm } : { algorithm, key };
}

async function secretIn(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new ConfigError(`registry.storage.s3.secretAccessKeyFile: ${messageOf(error)}`);
  }
}
