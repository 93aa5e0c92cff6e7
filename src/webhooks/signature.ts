import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { invalid, unauthorized } from '#errors/errors.ts';

/**
 * Signing as Standard Webhooks has it (https://www.standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`, thus a
 * delivery can be neither changed nor sent again later by others.
 */

const PREFIX = 'whsec_';
const BYTES = 32;

export function newSecret(): string {
  return PREFIX + randomBytes(BYTES).toString('base64');
}

/** Checks a secret that somebody brought: 24 to 64 bytes in Base64 behind `whsec_`. Throws `invalid`. */
export function parseSecret(text: string): string {
  const bytes = keyOf(text);
  if (!/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(text) || bytes.length < 24 || bytes.length > 64) {
    throw invalid('a secret is whsec_ and 24 to 64 bytes in Base64');
  }
  return text;
}

/** The headers that sign a body, with each of the secrets. `at` in milliseconds since 1970. */
export function signatureHeaders(
  message: { id: string; at: number; body: string },
  secrets: readonly string[],
): Record<string, string> {
  const timestamp = String(Math.floor(message.at / 1000));
  const signed = `${message.id}.${timestamp}.${message.body}`;
  const signatures = secrets.map(
    (secret) => `v1,${createHmac('sha256', keyOf(secret)).update(signed).digest('base64')}`,
  );
  return {
    'webhook-id': message.id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  };
}

/** Milliseconds that a delivery may be old, or of the future. */
const TOLERANCE = 5 * 60_000;

/** Checks what `signatureHeaders` made, and returns the delivery's id. Throws `unauthorized`. */
export function verifySignature(
  headers: Readonly<Record<string, string | undefined>>,
  body: string,
  { secret, now }: { secret: string; now: number },
): string {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': given = '' } = headers;
  if (!id || !timestamp || !/^\d{1,12}$/.test(timestamp)) throw unauthorized('the delivery is not signed');
  if (Math.abs(now - Number(timestamp) * 1000) > TOLERANCE) throw unauthorized('the delivery is too old');
  const signed = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest();
  const matches = given.split(' ').some((each) => {
    const [version, signature = ''] = each.split(',');
    const bytes = Buffer.from(signature, 'base64');
    return version === 'v1' && bytes.length === signed.length && timingSafeEqual(bytes, signed);
  });
  if (!matches) throw unauthorized('the signature of the delivery is not of its secret');
  return id;
}

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(PREFIX.length), 'base64');
}
