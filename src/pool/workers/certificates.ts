import 'reflect-metadata';
import { createHash, createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import { invalid } from '#errors/errors.ts';

/** Whose word a pool takes for who somebody is. Both in PEM, the key as PKCS #8. */
export interface Authority {
  readonly certificate: string;
  readonly privateKey: string;
}

/** What a certificate says of its owner: `O` and `CN` of its subject, and `<name>.<role>.slipway` for TLS. */
export interface Member {
  readonly name: string;
  readonly role: 'gateway' | 'worker' | 'client';
}

const KEYS = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;
const DAY = 24 * 60 * 60_000;
const AUTHORITY_LIFE = 3650 * DAY;
/** Certificates are good from so long before they were made: clocks differ. */
const CLOCK_SKEW = 60 * 60_000;

/** What TLS has to be told to expect: a certificate is good wherever its owner is. */
export function serverName({ name, role }: Member): string {
  return `${name}.${role}.slipway`;
}

export async function createAuthority(): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(KEYS, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ['Slipway pool'] }],
    keys,
    ...validFor(AUTHORITY_LIFE),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { certificate: certificate.toString('pem'), privateKey: pem('PRIVATE KEY', pkcs8) };
}

/**
 * A certificate for the owner of a public key (PEM), for both ends of a connection. `life` in milliseconds; `hosts` are
 * names and addresses that others than members know it by.
 */
export async function issueCertificate(
  authority: Authority,
  {
    publicKey,
    member,
    life,
    hosts = [],
  }: { publicKey: string; member: Member; life: number; hosts?: readonly string[] },
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.certificate);
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ O: [member.role] }, { CN: [member.name] }],
    issuer: issuer.subject,
    publicKey: new x509.PublicKey(createPublicKey(publicKey).export({ type: 'spki', format: 'der' })),
    signingKey: await signingKey(authority.privateKey),
    ...validFor(life),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([serverAuth, clientAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: serverName(member) },
        ...hosts.map((host) => ({
          type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const),
          value: host,
        })),
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return certificate.toString('pem');
}

/** Asks for a certificate: proof of having a private key (PKCS #8 in PEM) of the curve P-256. */
export async function createRequest(privateKey: string, name: string): Promise<string> {
  const keys = { privateKey: await signingKey(privateKey), publicKey: await verifyingKey(privateKey) };
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm: SIGNING,
  });
  return request.toString('pem');
}

/** The public key (PEM) that a request proves to own. Throws `invalid`. */
export async function readRequest(text: string): Promise<string> {
  try {
    const request = new x509.Pkcs10CertificateRequest(text);
    const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), type: 'spki', format: 'der' });
    const onCurve = key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
    if (onCurve && (await request.verify())) return key.export({ type: 'spki', format: 'pem' }).toString();
  } catch (cause) {
    throw invalid('this is no certificate request', { cause });
  }
  throw invalid('the certificate request is not signed with a key of the curve P-256');
}

/** A certificate's (PEM), in PEM. */
export function publicKeyOf(certificate: string): string {
  return createPublicKey(certificate).export({ type: 'spki', format: 'pem' }).toString();
}

/** SHA-256 of a public key (PEM), or of a certificate's, in hex. */
export function keyDigest(text: string): string {
  const der = createPublicKey(text).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('hex');
}

/** SHA-256 of a certificate (PEM), in base64url. */
export function fingerprint(certificate: string): string {
  const der = Buffer.from(new x509.X509Certificate(certificate).rawData);
  return createHash('sha256').update(der).digest('base64url');
}

function validFor(life: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - CLOCK_SKEW), notAfter: new Date(now + life) };
}

function signingKey(privateKey: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(privateKey).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, KEYS, false, ['sign']);
}

function verifyingKey(privateKey: string): Promise<webcrypto.CryptoKey> {
  const der = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return webcrypto.subtle.importKey('spki', der, KEYS, true, ['verify']);
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
