import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A certificate authority of a test's own, with what it issued in a folder. */
export class TestAuthority implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<TestAuthority> {
    const authority = new TestAuthority(await mkdtemp(join(tmpdir(), 'slipway-ca-')));
    await authority.#openssl('req', '-x509', ...KEY, '-days', '2', '-subj', '/CN=Test CA', ...out('ca'));
    return authority;
  }

  /** Its own certificate, in PEM. */
  ca(): Promise<Buffer> {
    return readFile(this.path('ca.pem'));
  }

  /** The path of a file in its folder: `NAME.pem` is a certificate, `NAME.key` its key. */
  path(file: string): string {
    return join(this.folder, file);
  }

  /**
   * Issues a certificate for localhost, 127.0.0.1 and what `more` says, and writes it and its key; again for the same
   * name: new ones.
   */
  async issue(name: string, more: readonly string[] = []): Promise<void> {
    const names = ['DNS:localhost', 'IP:127.0.0.1', ...more];
    await writeFile(this.path('names.ext'), `subjectAltName=${names.join(',')}\n`);
    await this.#openssl(
      'req',
      ...KEY,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
    );
    const by = [
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      'names.ext',
    ];
    await this.#openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-out', `${name}.pem`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  async #openssl(...args: string[]): Promise<void> {
    await run('openssl', args, { cwd: this.folder });
  }
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function out(name: string): string[] {
  return ['-keyout', `${name}.key`, '-out', `${name}.pem`];
}
