import type { BuildTables } from './build-schema.ts';
import type { ContainerTables } from './containers-schema.ts';
import type { ImageTables } from './images-schema.ts';
import type { NetworkTables } from './networks-schema.ts';
import type { VolumeTables } from './volumes-schema.ts';

/** A worker's own state: one SQLite file in its data directory. Each domain describes its tables in its file. */
export interface WorkerSchema
  extends ImageTables,
    ContainerTables,
    NetworkTables,
    VolumeTables,
    BuildTables {}
