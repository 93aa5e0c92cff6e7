import type { Generated } from 'kysely';

/** Tables of `worker/containers`. */
export interface ContainerTables {
  containers: {
    /** Order of creation. */
    sequence: Generated<number>;
    id: string;
    /** Null once the container is being removed. */
    name: string | null;
    /** JSON, see `ContainerRecord`. */
    record: string;
  };
}
