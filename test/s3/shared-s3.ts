import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { S3ContentStore } from '#content/s3-content-store.ts';
import type { S3Settings } from '#content/s3-settings.ts';
import type { S3Access } from './s3-server.ts';

let shared: Promise<S3Access> | undefined;

/** The S3 server of this test run, see `global-setup.ts`. */
export function sharedS3(): Promise<S3Access> {
  shared ??= ask();
  return shared;
}

/** A store of its own on that server. The caller disposes it. */
export async function s3Content(overrides: Partial<S3Settings> = {}): Promise<S3ContentStore> {
  return new S3ContentStore(s3Settings(await sharedS3(), overrides));
}

/** Settings for a store of its own in the server's bucket: everything is below a prefix that nobody else has. */
export function s3Settings(access: S3Access, overrides: Partial<S3Settings> = {}): S3Settings {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = access;
  return {
    bucket,
    prefix: `t-${randomUUID()}`,
    region,
    endpoint,
    publicEndpoint: undefined,
    pathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    encryption: undefined,
    signPayload: undefined,
    partSize: 5 * 2 ** 20,
    maxParts: 8,
    maxConnections: 32,
    attempts: 3,
    connectTimeout: 5_000,
    idleTimeout: 30_000,
    linkExpiry: 60_000,
    ...overrides,
  };
}

async function ask(): Promise<S3Access> {
  const path = process.env.S3_SHARED_SOCKET;
  if (path === undefined) throw new Error('this test runs under Vitest, with test/s3/global-setup.ts');
  const { access, error } = JSON.parse(await text(connect(path))) as { access?: S3Access; error?: string };
  if (!access) throw new Error(error);
  return access;
}
