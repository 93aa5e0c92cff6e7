import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

/** What a worker shows of itself. All in PEM. */
export interface MemberCredentials {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/**
 * A worker's key and certificate in a folder of its own. The key is there before the first certificate is asked for: a
 * worker that was killed between may ask again.
 */
export class CredentialFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The worker's private key, from the first time on. */
  async key(): Promise<string> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const known = await this.#read('key.pem');
    if (known) return known;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await this.#write('key.pem', key);
    return key;
  }

  /** Undefined when there is no certificate that is still good. */
  async load(): Promise<MemberCredentials | undefined> {
    const [key, cert, ca] = await Promise.all(
      ['key.pem', 'certificate.pem', 'authority.pem'].map(this.#read),
    );
    if (!key || !cert || !ca) return undefined;
    return new X509Certificate(cert).validToDate.getTime() > Date.now() ? { key, cert, ca } : undefined;
  }

  async save({ cert, ca }: Omit<MemberCredentials, 'key'>): Promise<void> {
    await this.#write('authority.pem', ca);
    await this.#write('certificate.pem', cert);
  }

  readonly #read = (name: string): Promise<string | undefined> =>
    readFile(join(this.#folder, name), 'utf8').catch(() => undefined);

  async #write(name: string, text: string): Promise<void> {
    const file = join(this.#folder, name);
    const handle = await open(`${file}.new`, 'w', 0o600);
    await handle.writeFile(text);
    await handle.sync();
    await handle.close();
    await rename(`${file}.new`, file);
  }
}
