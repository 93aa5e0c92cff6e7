import type { NamespacePattern } from '#auth/policies/pattern.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Webhook, WebhookFormat, WebhookSettings } from './webhook.ts';

export class WebhooksRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async add(webhook: Webhook): Promise<void> {
    const { id, secret, createdAt, updatedAt } = webhook;
    await this.#db
      .insertInto('webhooks')
      .values({
        id,
        secret,
        previous_secret: null,
        previous_until: null,
        ...settingsRow(webhook),
        created_at: createdAt,
        updated_at: updatedAt,
      })
      .execute();
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
  async change(id: string, settings: WebhookSettings): Promise<boolean> {
    return await this.#set(id, settingsRow(settings));
  }

  async setSecret(id: string, secret: string, previous: Webhook['previous']): Promise<boolean> {
    return await this.#set(id, {
      secret,
      previous_secret: previous?.secret ?? null,
      previous_until: previous?.until ?? null,
    });
  }

  async disable(id: string): Promise<boolean> {
    return await this.#set(id, { state: 'disabled' });
  }

  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom('webhooks').where('id', '=', id).executeTakeFirst();
    return result.numDeletedRows === 1n;
  }

  async #set(id: string, values: Partial<Omit<Row, 'id' | 'created_at'>>): Promise<boolean> {
    const result = await this.#db
      .updateTable('webhooks')
      .set({ ...values, updated_at: Date.now() })
      .where('id', '=', id)
      .executeTakeFirst();
    return result.numUpdatedRows === 1n;
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
