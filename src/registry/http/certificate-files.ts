import { X509Certificate } from 'node:crypto';
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import { invalid, messageOf } from '#errors/errors.ts';

/** Files change in several steps (certificate, then key): they are read when nothing has moved for this long. */
const SETTLE = 250;
/** How often files are read without a notice: not every file system sends them. */
const POLL = 60_000;

/** PEM files: a certificate with its chain, its key, and the CA that clients' certificates have to be of. */
export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
  readonly clientCa: string | null;
}

/**
 * The certificate that a server shows, as its files have it: read anew when they change. Files that do not fit each
 * other are not taken; what was read before stays.
 */
export class CertificateFiles implements Disposable {
  readonly #paths: CertificatePaths;
  readonly #logger: Logger;
  readonly #takers = new Set<(options: SecureContextOptions) => void>();
  readonly #watchers: FSWatcher[] = [];
  #options: SecureContextOptions;
  #poll: NodeJS.Timeout | undefined;
  #settling: NodeJS.Timeout | undefined;

  /** Throws `invalid` for files that cannot be read or do not fit each other. */
  constructor(paths: CertificatePaths, logger: Logger) {
    this.#paths = paths;
    this.#logger = logger;
    this.#options = read(paths);
  }

  /** What a server is to be created with. */
  get options(): SecureContextOptions {
    return this.#options;
  }

  /** When the certificate expires, in milliseconds since 1970. */
  get expiresAt(): number {
    return Date.parse(leaf(this.#options).validTo);
  }

  /** Calls `take` with every certificate that follows, until this is disposed. */
  follow(take: (options: SecureContextOptions) => void): void {
    this.#takers.add(take);
    if (this.#poll) return;
    this.#poll = setInterval(() => this.reload(), POLL);
    this.#poll.unref();
    const folders = new Set(
      Object.values(this.#paths).flatMap((path: string | null) => (path === null ? [] : dirname(path))),
    );
    for (const folder of folders) this.#watch(folder);
  }

  /** Reads the files; what is new in them goes to those who follow. */
  reload(): void {
    try {
      const options = read(this.#paths);
      if (same(options, this.#options)) return;
      this.#options = options;
      for (const take of this.#takers) take(options);
      const { subject, validTo } = leaf(options);
      this.#logger.info({ subject, validTo }, 'took a new certificate');
    } catch (error) {
      this.#logger.error(
        { err: error },
        'the certificate files are not usable; the certificate before stays',
      );
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#poll);
    clearTimeout(this.#settling);
    for (const watcher of this.#watchers) watcher.close();
    this.#takers.clear();
  }

  /** The folder rather than the file: files are replaced, and links to them are turned. */
  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => {
        clearTimeout(this.#settling);
        this.#settling = setTimeout(() => this.reload(), SETTLE);
        this.#settling.unref();
      });
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch (error) {
      this.#logger.warn({ folder, reason: messageOf(error) }, `changes are noticed within ${POLL / 1000} s`);
    }
  }
}

function read({ certificate, key, clientCa }: CertificatePaths): SecureContextOptions {
  const options: SecureContextOptions = {
    cert: readPem(certificate),
    key: readPem(key),
    ...(clientCa !== null && { ca: readPem(clientCa) }),
  };
  try {
    createSecureContext(options);
    leaf(options);
    return options;
  } catch (cause) {
    throw invalid(`${certificate} and ${key} are no certificate and its key: ${messageOf(cause)}`, { cause });
  }
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw invalid(`cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** The certificate of the server itself, the first of its chain. */
function leaf({ cert }: SecureContextOptions): X509Certificate {
  return new X509Certificate(cert as Buffer);
}

function same(one: SecureContextOptions, other: SecureContextOptions): boolean {
  return (['cert', 'key', 'ca'] as const).every((part) => String(one[part]) === String(other[part]));
}
