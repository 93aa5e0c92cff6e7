import type { DistributionSchema } from './distribution-schema.ts';
import type { EventsSchema } from './events-schema.ts';

/** The registry's metadata: a file for each domain has its tables, another its migrations. */
export type RegistrySchema = DistributionSchema & EventsSchema;
