import http from 'node:http';
import https from 'node:https';
import type { TargetPolicy } from './target-policy.ts';

/** What the receiver answered. */
export interface Answer {
  readonly status: number;
  /** What it asked for with `Retry-After`, in milliseconds. */
  readonly retryAfter: number | undefined;
}

interface Post {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Sends a body to where somebody asked for. Redirects are not followed: they would lead past the policy's check. Throws
 * `invalid` and `forbidden` as the policy does, and when there is no answer within `timeout` milliseconds.
 */
export async function postWebhook(
  targets: TargetPolicy,
  { url: text, headers, body }: Post,
  options: { timeout: number; signal?: AbortSignal | undefined },
): Promise<Answer> {
  const url = targets.check(text);
  const deadline = AbortSignal.timeout(options.timeout);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = (url.protocol === 'https:' ? https : http).request(url, {
    method: 'POST',
    agent: false,
    lookup: targets.lookup as never,
    headers: { 'content-length': Buffer.byteLength(body), 'user-agent': 'Slipway-Webhooks', ...headers },
    signal: options.signal ? AbortSignal.any([deadline, options.signal]) : deadline,
  });
  request.once('error', (error) => {
    reject(deadline.aborted ? new Error(`no answer within ${options.timeout / 1000} seconds`) : error);
  });
  request.once('response', (response) => {
    const seconds = response.headers['retry-after'];
    const retryAfter = seconds && /^\d{1,5}$/.test(seconds) ? Number(seconds) * 1000 : undefined;
    resolve({ status: response.statusCode ?? 0, retryAfter });
    // What it has to say beyond that is not read.
    response.on('error', () => {});
    response.destroy();
  });
  request.end(body);
  return await promise;
}
