import type { NamespacePattern } from '#auth/policies/pattern.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import type { Webhook, WebhookFormat, WebhookSettings } from './webhook.ts';

export class WebhooksRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async add(webhook: Webhook, actor: Actor): Promise<void> {
    const { id, secret, createdAt, updatedAt, url, format, repositories, actions } = webhook;
    const row = {
      id,
      secret,
      previous_secret: null,
      previous_until: null,
      ...settingsRow(webhook),
      created_at: createdAt,
      updated_at: updatedAt,
    };
    const detail = { id, url, format, repositories, actions };
    await inTransaction(this.#db, async (trx) => {
      await trx.insertInto('webhooks').values(row).execute();
      await recordEvents(trx, actor, [{ action: 'webhook.create', detail }]);
    });
  }

  async find(id: string): Promise<Webhook | undefined> {
    const row = await this.#db.selectFrom('webhooks').selectAll().where('id', '=', id).executeTakeFirst();
    return row && webhookOf(row);
  }

  /** By id, after `last`. */
  async list(options: { limit: number; last?: string | undefined }): Promise<Webhook[]> {
    const rows = await this.#db
      .selectFrom('webhooks')
      .selectAll()
      .where('id', '>', options.last ?? '')
      .orderBy('id')
      .limit(options.limit)
      .execute();
    return rows.map(webhookOf);
  }

  async enabled(): Promise<Webhook[]> {
    const rows = await this.#db.selectFrom('webhooks').selectAll().where('state', '=', 'enabled').execute();
    return rows.map(webhookOf);
  }

  /** False when there is none. */
  async change(id: string, settings: WebhookSettings, actor: Actor): Promise<boolean> {
    return await this.#set(id, settingsRow(settings), { ...settings }, actor);
  }

  async setSecret(id: string, secret: string, previous: Webhook['previous'], actor: Actor): Promise<boolean> {
    const values = {
      secret,
      previous_secret: previous?.secret ?? null,
      previous_until: previous?.until ?? null,
    };
    return await this.#set(id, values, { secret: 'another one' }, actor);
  }

  async disable(id: string, actor: Actor): Promise<boolean> {
    return await this.#set(id, { state: 'disabled' }, { enabled: false }, actor);
  }

  async remove(id: string, actor: Actor): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const result = await trx.deleteFrom('webhooks').where('id', '=', id).executeTakeFirst();
      if (result.numDeletedRows === 0n) return false;
      await recordEvents(trx, actor, [{ action: 'webhook.delete', detail: { id } }]);
      return true;
    });
  }

  async #set(
    id: string,
    values: Partial<Omit<Row, 'id' | 'created_at'>>,
    change: Record<string, unknown>,
    actor: Actor,
  ): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const result = await trx
        .updateTable('webhooks')
        .set({ ...values, updated_at: Date.now() })
        .where('id', '=', id)
        .executeTakeFirst();
      if (result.numUpdatedRows === 0n) return false;
      await recordEvents(trx, actor, [{ action: 'webhook.update', detail: { id, ...change } }]);
      return true;
    });
  }
}

interface Row {
  id: string;
  url: string;
  description: string;
  format: WebhookFormat;
  secret: string;
  previous_secret: string | null;
  previous_until: number | null;
  repositories: string;
  actions: string;
  state: 'enabled' | 'disabled';
  created_at: number;
  updated_at: number;
}

function settingsRow({ url, description, format, repositories, actions, enabled }: WebhookSettings) {
  return {
    url,
    description,
    format,
    repositories: JSON.stringify(repositories),
    actions: JSON.stringify(actions),
    state: enabled ? ('enabled' as const) : ('disabled' as const),
  };
}

function webhookOf(row: Row): Webhook {
  const { id, url, description, format, secret } = row;
  return {
    id,
    url,
    description,
    format,
    secret,
    previous:
      row.previous_secret === null
        ? undefined
        : { secret: row.previous_secret, until: row.previous_until ?? 0 },
    repositories: JSON.parse(row.repositories) as NamespacePattern[],
    actions: JSON.parse(row.actions) as string[],
    enabled: row.state === 'enabled',
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
