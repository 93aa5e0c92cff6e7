import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { notFound } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import { outdate } from '../auth-versions-repository.ts';
import type { RecordChange } from '../record-change.ts';

export interface GroupMember {
  readonly group: string;
  /** `user:ada`, `robot:ci` */
  readonly member: string;
}

export class GroupsRepository {
  readonly #db: RegistryDatabase;
  readonly #record: RecordChange;

  constructor(ports: { db: RegistryDatabase; record: RecordChange }) {
    this.#db = ports.db;
    this.#record = ports.record;
  }

  async list(filter: { group?: string | undefined; member?: string | undefined }): Promise<GroupMember[]> {
    let query = this.#db
      .selectFrom('group_members')
      .select(['group_name', 'member'])
      .orderBy('group_name')
      .orderBy('member');
    if (filter.group !== undefined) query = query.where('group_name', '=', filter.group);
    if (filter.member !== undefined) query = query.where('member', '=', filter.member);
    return (await query.execute()).map((row) => ({ group: row.group_name, member: row.member }));
  }

  async add({ group, member }: GroupMember, actor: Actor): Promise<void> {
    const [kind, name] = member.split(':') as ['user' | 'robot', string];
    await inTransaction(this.#db, async (trx) => {
      const table = kind === 'user' ? 'users' : 'robots';
      const found = await trx.selectFrom(table).select('name').where('name', '=', name).executeTakeFirst();
      if (!found) throw notFound(`there is no ${kind} '${name}'`);
      await trx
        .insertInto('group_members')
        .values({ group_name: group, member, created_at: Date.now() })
        .onConflict((conflict) => conflict.columns(['group_name', 'member']).doNothing())
        .execute();
      await outdate(trx, 'policies');
      await this.#record(trx, actor, [{ action: 'group.add', detail: { group, member } }]);
    });
  }

  /** Throws `not-found`. */
  async remove({ group, member }: GroupMember, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const { numDeletedRows } = await trx
        .deleteFrom('group_members')
        .where('group_name', '=', group)
        .where('member', '=', member)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw notFound(`${member} is not in the group '${group}'`);
      await outdate(trx, 'policies');
      await this.#record(trx, actor, [{ action: 'group.remove', detail: { group, member } }]);
    });
  }

  /** Makes a user a member of exactly these of `among`: what an OpenID provider says of its groups. */
  async follow(
    member: string,
    groups: readonly string[],
    among: readonly string[],
    actor: Actor,
  ): Promise<void> {
    const all = await this.#db
      .selectFrom('group_members')
      .select('group_name')
      .where('member', '=', member)
      .execute();
    const has = new Set(all.map((row) => row.group_name));
    for (const group of among) {
      if (groups.includes(group) && !has.has(group)) await this.add({ group, member }, actor);
      if (!groups.includes(group) && has.has(group)) await this.remove({ group, member }, actor);
    }
  }
}
