import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3Settings } from './s3-settings.ts';

/** A client with its own pool of connections that are kept open. The caller destroys it. */
export function createS3Client(settings: S3Settings): S3Client {
  const agent = {
    keepAlive: true,
    maxSockets: settings.maxConnections,
    maxFreeSockets: settings.maxConnections,
  };
  const client = new S3Client({
    ...addressing(settings, settings.endpoint),
    maxAttempts: settings.attempts,
    retryMode: 'standard',
    requestHandler: {
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
      connectionTimeout: settings.connectTimeout,
      socketTimeout: settings.idleTimeout,
      // Requests that wait for a connection are what the pool is there for.
      socketAcquisitionWarningTimeout: 2 ** 31 - 1,
    },
    // A second round trip, on a connection of its own, before each part.
    expectContinueHeader: false,
  });
  if (!signsPayload(settings)) unsignedPayload(client);
  return client;
}

/** Whether requests are signed together with what they bring. */
export function signsPayload({ signPayload, endpoint }: S3Settings): boolean {
  return signPayload ?? endpoint?.startsWith('http:') ?? false;
}

/** A client that makes URLs for others; it sends nothing itself. */
export function createLinkClient(settings: S3Settings): S3Client {
  return new S3Client(addressing(settings, settings.publicEndpoint ?? settings.endpoint));
}

function addressing(settings: S3Settings, endpoint: string | undefined): S3ClientConfig {
  const { region, pathStyle, credentials } = settings;
  return {
    region,
    forcePathStyle: pathStyle,
    followRegionRedirects: endpoint === undefined,
    // Servers differ in what they make of checksums of parts; signatures and TLS do the same, and digests the rest.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials && { credentials }),
  };
}

/** Signs requests, not what they bring. */
function unsignedPayload(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers, body } = args.request as { headers: Record<string, string>; body?: unknown };
      if (body instanceof Uint8Array) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', priority: 'low', name: 'unsignedPayload' },
  );
}
