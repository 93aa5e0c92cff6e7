import type { DistributionSchema } from './distribution-schema.ts';
import type { EventsSchema } from './events-schema.ts';
import type { GcSchema } from './gc-schema.ts';
import type { QuotasSchema } from './quotas-schema.ts';
import type { RetentionSchema } from './retention-schema.ts';

/** The registry's metadata: a file for each domain has its tables, another its migrations. */
export type RegistrySchema = DistributionSchema & EventsSchema & GcSchema & QuotasSchema & RetentionSchema;
