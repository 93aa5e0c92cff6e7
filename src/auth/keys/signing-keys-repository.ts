import type { JWK } from 'jose';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { Actor } from '../actor.ts';
import { outdate, versionOf } from '../auth-versions-repository.ts';
import type { RecordChange } from '../record-change.ts';

/** A key pair as it is kept. Times are milliseconds since 1970. */
export interface SigningKeyRow {
  readonly kid: string;
  readonly publicKey: JWK;
  readonly privateKey: JWK;
  readonly createdAt: number;
  /** From when on it signs, until a younger one does. */
  readonly signsFrom: number;
}

export class SigningKeysRepository {
  readonly #db: RegistryDatabase;
  readonly #record: RecordChange;

  constructor(ports: { db: RegistryDatabase; record: RecordChange }) {
    this.#db = ports.db;
    this.#record = ports.record;
  }

  async version(): Promise<number> {
    return await versionOf(this.#db, 'keys');
  }

  /** The oldest first. */
  async list(): Promise<SigningKeyRow[]> {
    const rows = await this.#db
      .selectFrom('signing_keys')
      .selectAll()
      .where('algorithm', '=', 'ES256')
      .orderBy('signs_from')
      .orderBy('kid')
      .execute();
    return rows.map((row) => ({
      kid: row.kid,
      publicKey: JSON.parse(row.public_key) as JWK,
      privateKey: JSON.parse(row.private_key) as JWK,
      createdAt: row.created_at,
      signsFrom: row.signs_from,
    }));
  }

  /**
   * Adds a key unless one was added after those in `seen` (another process rotated at the same time), and removes
   * those of `remove`. False when it did nothing.
   */
  async add(
    key: SigningKeyRow,
    options: { seen: readonly string[]; remove: readonly string[] },
    actor: Actor,
  ): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      // Taken first: it lets one process at a time come here.
      await outdate(trx, 'keys');
      const present = await trx.selectFrom('signing_keys').select('kid').execute();
      if (present.some(({ kid }) => !options.seen.includes(kid))) return false;
      if (options.remove.length > 0) {
        await trx.deleteFrom('signing_keys').where('kid', 'in', options.remove).execute();
      }
      await trx
        .insertInto('signing_keys')
        .values({
          kid: key.kid,
          algorithm: 'ES256',
          public_key: JSON.stringify(key.publicKey),
          private_key: JSON.stringify(key.privateKey),
          created_at: key.createdAt,
          signs_from: key.signsFrom,
        })
        .execute();
      const detail = { added: key.kid, removed: options.remove };
      await this.#record(trx, actor, [{ action: 'keys.rotate', detail }]);
      return true;
    });
  }
}
