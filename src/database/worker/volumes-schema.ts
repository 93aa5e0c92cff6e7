/** Tables of `worker/volumes`. Columns named `…_json` hold JSON. */
export interface VolumeTables {
  volumes: {
    name: string;
    created_at: string;
    labels_json: string;
    options_json: string;
    anonymous: number;
    /** 1 from the decision to remove it until its data is gone. */
    removing: number;
  };
  /** Which containers use which volumes, running or not. */
  volume_users: { volume: string; container_id: string };
}
