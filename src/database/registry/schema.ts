import type { AuthSchema } from './auth-schema.ts';
import type { CoordinationSchema } from './coordination-schema.ts';
import type { DistributionSchema } from './distribution-schema.ts';
import type { EventsSchema } from './events-schema.ts';
import type { GcSchema } from './gc-schema.ts';
import type { MirrorSchema } from './mirror-schema.ts';
import type { OutboxSchema } from './outbox-schema.ts';
import type { QuotasSchema } from './quotas-schema.ts';
import type { RetentionSchema } from './retention-schema.ts';
import type { SearchSchema } from './search-schema.ts';
import type { StatisticsSchema } from './statistics-schema.ts';
import type { WebhooksSchema } from './webhooks-schema.ts';

/** The registry's metadata: a file for each domain has its tables, another its migrations. */
export type RegistrySchema = AuthSchema &
  CoordinationSchema &
  DistributionSchema &
  EventsSchema &
  GcSchema &
  MirrorSchema &
  OutboxSchema &
  QuotasSchema &
  RetentionSchema &
  SearchSchema &
  StatisticsSchema &
  WebhooksSchema;
