import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Pieces are sent with chunked encoding, unless the headers give a length. */
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
}

/** Requests as they are written: nothing is normalised, retried or followed. */
export class DistributionClient {
  readonly address: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(address: string) {
    this.address = address;
  }

  async send(method: string, path: string, options: SendOptions = {}): Promise<Answer> {
    const [host, port] = this.address.split(':');
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const { body } = options;
    const whole = typeof body === 'string' || body instanceof Uint8Array;
    const sent = request({ host, port, method, path, agent: this.#agent, headers: { ...options.headers } });
    if (whole) sent.setHeader('Content-Length', Buffer.byteLength(body));
    sent.once('error', reject);
    sent.once('response', (response) => {
      buffer(response).then(
        (bytes) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes }),
        reject,
      );
    });
    if (whole || body === undefined) sent.end(body);
    else void pour(body, sent).catch(reject);
    return await promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function pour(body: AsyncIterable<Uint8Array>, sent: ReturnType<typeof request>): Promise<void> {
  for await (const chunk of body) {
    if (!sent.write(chunk)) await new Promise((resolve) => sent.once('drain', resolve));
  }
  sent.end();
}

export function json(answer: Answer): unknown {
  return JSON.parse(answer.body.toString());
}

/** The first error's code in an error body. */
export function errorCode(answer: Answer): string | undefined {
  const { errors } = json(answer) as { errors: { code: string; message: string }[] };
  return errors[0]?.code;
}

/** Begins an upload and returns its Location. */
export async function begin(client: DistributionClient, repository: string, query = ''): Promise<string> {
  const answer = await client.send('POST', `/v2/${repository}/blobs/uploads/${query}`);
  if (answer.status !== 202) throw new Error(`POST: ${answer.status} ${answer.body}`);
  return answer.headers.location!;
}

/** Pushes a blob with POST and PUT. */
export async function pushBlob(
  client: DistributionClient,
  repository: string,
  bytes: Uint8Array | string,
): Promise<Digest> {
  const digest = digestOf(bytes);
  const location = await begin(client, repository);
  const answer = await client.send('PUT', `${location}?digest=${digest}`, { body: bytes });
  if (answer.status !== 201) throw new Error(`PUT: ${answer.status} ${answer.body}`);
  return digest;
}

export function describe(bytes: Uint8Array | string, mediaType: string) {
  return { mediaType, digest: digestOf(bytes), size: Buffer.byteLength(bytes) };
}

/** An OCI image manifest over a config and layers that are in the repository; `more` adds to the document. */
export async function pushImage(
  client: DistributionClient,
  repository: string,
  reference: string | undefined,
  more: Readonly<Record<string, unknown>> = {},
): Promise<{ digest: Digest; payload: string; answer: Answer }> {
  const [config, layer] = ['{}', 'a layer'];
  await pushBlob(client, repository, config);
  await pushBlob(client, repository, layer);
  const payload = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: describe(config, MEDIA_TYPE.ociConfig),
    layers: [describe(layer, MEDIA_TYPE.ociLayer)],
    ...more,
  });
  const digest = digestOf(payload);
  const answer = await putManifest(client, repository, reference ?? digest, payload);
  return { digest, payload, answer };
}

export function putManifest(
  client: DistributionClient,
  repository: string,
  reference: string,
  payload: string | Uint8Array,
  contentType: string = MEDIA_TYPE.ociManifest,
): Promise<Answer> {
  const headers = { 'Content-Type': contentType };
  return client.send('PUT', `/v2/${repository}/manifests/${reference}`, { body: payload, headers });
}
