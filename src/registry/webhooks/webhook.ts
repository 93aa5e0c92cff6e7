import { covers, type NamespacePattern } from '#auth/policies/pattern.ts';
import type { RecordedEvent } from '../events/recorded-event.ts';

export const WEBHOOK_FORMATS = ['cloudevents', 'distribution'] as const;
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

/** What the owner of a webhook says. */
export interface WebhookSettings {
  readonly url: string;
  readonly description: string;
  readonly format: WebhookFormat;
  /** Which repositories it hears of. */
  readonly repositories: readonly NamespacePattern[];
  /** What it hears of: `manifest.push`, `tag.*`, `*`. */
  readonly actions: readonly string[];
  readonly enabled: boolean;
}

/** Someone who is told of changes to content, by HTTP. */
export interface Webhook extends WebhookSettings {
  readonly id: string;
  /** What its deliveries are signed with, `whsec_…`. */
  readonly secret: string;
  /** The secret before, for as long as it signs too. */
  readonly previous: { readonly secret: string; readonly until: number } | undefined;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Only what concerns content leaves the house: other events tell of accounts and policies. */
const CONTENT = /^(?:blob|manifest|tag)\./;

export function wants(webhook: WebhookSettings, event: RecordedEvent): boolean {
  const { action, repository, outcome } = event;
  if (outcome !== 'done' || repository === null || !CONTENT.test(action)) return false;
  return (
    webhook.actions.some((pattern) => matchesAction(pattern, action)) &&
    webhook.repositories.some((pattern) => covers(pattern, repository))
  );
}

function matchesAction(pattern: string, action: string): boolean {
  return (
    pattern === '*' || (pattern.endsWith('.*') ? action.startsWith(pattern.slice(0, -1)) : pattern === action)
  );
}
