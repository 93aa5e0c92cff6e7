import { invalid } from '#errors/errors.ts';

/**
 * An OpenID provider's issuer: an HTTPS URL (OpenID Connect Discovery 1.0, 2), or plain HTTP on this machine. Throws
 * `invalid`.
 */
export function parseIssuer(text: string): string {
  if (!isSafeUrl(text) || /[?#]/.test(text)) {
    throw invalid(`invalid issuer ${JSON.stringify(text.slice(0, 200))}: expected an https URL`);
  }
  return text;
}

/** Whether a URL may be fetched: what it says is secret or decides who someone is, so it goes by HTTPS. */
export function isSafeUrl(text: string): boolean {
  if (text.length > 500 || !URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isThisMachine(hostname));
}

/** By address: what a name means is for others to say. */
function isThisMachine(hostname: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(hostname) || hostname === '[::1]';
}
