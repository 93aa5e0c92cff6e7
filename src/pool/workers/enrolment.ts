import { invalid, unauthorized } from '#errors/errors.ts';
import {
  type Authority,
  createAuthority,
  fingerprint,
  issueCertificate,
  keyDigest,
  publicKeyOf,
  readRequest,
} from './certificates.ts';
import { newJoinToken } from './join-token.ts';
import type { MembershipRepository } from './membership-repository.ts';

/** Also a part of host names, which know no capitals. */
const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/;

export interface IssuedCertificate {
  /** PEM. */
  readonly certificate: string;
  /** The pool's, PEM. */
  readonly authority: string;
  /** In so many milliseconds another one should be asked for. */
  readonly renewAfter: number;
}

/** Throws `invalid`. */
export function parseWorkerName(text: string): string {
  if (NAME.test(text)) return text;
  throw invalid(`'${text}' is no worker's name: lower-case letters, digits, dots and hyphens, 63 at most`);
}

/** Lets machines in, and gives out certificates that are soon to be renewed. */
export class Enrolment {
  readonly authority: Authority;
  readonly #members: MembershipRepository;
  readonly #life: number;

  private constructor(authority: Authority, members: MembershipRepository, life: number) {
    this.authority = authority;
    this.#members = members;
    this.#life = life;
  }

  /** `life`: of certificates, in milliseconds. */
  static async open(members: MembershipRepository, { life }: { life: number }): Promise<Enrolment> {
    return new Enrolment(await members.authority(createAuthority), members, life);
  }

  /** A token that lets one machine join within `life` milliseconds. */
  async createToken(life: number): Promise<{ id: string; text: string; expiresAt: number }> {
    const token = newJoinToken(fingerprint(this.authority.certificate));
    const expiresAt = await this.#members.addToken(token, life);
    return { id: token.id, text: token.text, expiresAt };
  }

  /** Throws `unauthorized` for a token that is none or was used, `conflict` for a name that is taken, `invalid`. */
  async join(asked: { token: string; name: string; request: string }): Promise<IssuedCertificate> {
    const name = parseWorkerName(asked.name);
    const publicKey = await readRequest(asked.request);
    await this.#members.join(asked.token, { name, keyDigest: keyDigest(publicKey) });
    return await this.#issue(name, publicKey);
  }

  /** For a worker that showed its certificate (PEM): another one for the same key. */
  async renew(name: string, certificate: string): Promise<IssuedCertificate> {
    await this.expectMember(name, certificate);
    return await this.#issue(name, publicKeyOf(certificate));
  }

  /** Throws `unauthorized` for a worker that was removed, or has the name of another one. */
  async expectMember(name: string, certificate: string): Promise<void> {
    if (await this.#members.isMember({ name, keyDigest: keyDigest(certificate) })) return;
    throw unauthorized(`worker '${name}' was removed from the pool: it needs another join token`);
  }

  async #issue(name: string, publicKey: string): Promise<IssuedCertificate> {
    const member = { name, role: 'worker' } as const;
    return {
      certificate: await issueCertificate(this.authority, { publicKey, member, life: this.#life }),
      authority: this.authority.certificate,
      renewAfter: Math.floor(this.#life / 2),
    };
  }
}
