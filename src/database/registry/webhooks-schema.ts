export interface WebhooksSchema {
  webhooks: WebhooksTable;
}

/** Who is told of what happens, by HTTP. */
interface WebhooksTable {
  id: string;
  url: string;
  description: string;
  format: 'cloudevents' | 'distribution';
  /** What deliveries are signed with; in the clear, as a signature needs it. */
  secret: string;
  /** The one before, which signs too until then. */
  previous_secret: string | null;
  previous_until: number | null;
  /** Patterns of repositories' names, as JSON. */
  repositories: string;
  /** Actions, or `manifest.*`, as JSON. */
  actions: string;
  state: 'enabled' | 'disabled';
  created_at: number;
  updated_at: number;
}
