import type { BuildingSchema } from './building-schema.ts';
import type { JobsSchema } from './jobs-schema.ts';
import type { MembershipSchema } from './membership-schema.ts';
import type { OverlaySchema } from './overlay-schema.ts';
import type { PlacementsSchema } from './placements-schema.ts';
import type { TenantsSchema } from './tenants-schema.ts';
import type { TriggersSchema } from './triggers-schema.ts';
import type { WorkersSchema } from './workers-schema.ts';

/** What a pool knows: a file for each domain has its tables, another its migrations. */
export type PoolSchema = BuildingSchema &
  JobsSchema &
  MembershipSchema &
  OverlaySchema &
  PlacementsSchema &
  TenantsSchema &
  TriggersSchema &
  WorkersSchema;
