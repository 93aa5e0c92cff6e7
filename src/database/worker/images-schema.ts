import type { Generated } from 'kysely';

/** Tables of `worker/images` and `worker/snapshots`. Times are ISO 8601 in UTC. */
export interface ImageTables {
  /** One row a snapshot; its directory is named by `id`. */
  snapshots: {
    id: number;
    /** A chain ID when committed, its owner's name for it when active. */
    key: string;
    kind: 'active' | 'committed';
    parent_id: number | null;
    /** Whose directory holds its files, where that is another's. */
    directory_id: number | null;
    created_at: string;
    /** Of its own changes, once they cannot change any more. */
    bytes: number | null;
    inodes: number | null;
  };
  images: {
    /** Digest of the configuration. */
    id: string;
    config: Uint8Array;
    /** The image that a build step or commit began with. */
    parent: string | null;
    created_at: string;
    /** When a classic build last came by it as one of its steps; null: it is an image for its own sake. */
    step_used_at: string | null;
  };
  /** Which layers an image stands on, so that the last image of a layer can be found. Position 0 is the bottom. */
  image_layers: {
    image_id: string;
    position: number;
    chain_id: string;
    diff_id: string;
  };
  image_names: {
    /** Full: `docker.io/library/busybox:latest`. */
    name: string;
    image_id: string;
    tagged_at: string;
    /** What is stated of the image where it was given this name: of `image_statements`, as long as that is kept. */
    statements_index: string | null;
  };
  /** What `repository@digest` an image was pulled or pushed as. */
  image_digests: {
    repository: string;
    digest: string;
    image_id: string;
  };
  /** Manifests that an image came with, to be pushed again byte for byte. */
  image_manifests: {
    digest: string;
    image_id: string;
    media_type: string;
    payload: Uint8Array;
  };
  /** What is stated of an image that was built here, and the index that names both. */
  image_statements: {
    /** Digest of that index. Each build of an image has one of its own. */
    index_digest: string;
    image_id: string;
    /** What refers to others comes after those. */
    position: number;
    kind: 'blob' | 'manifest' | 'index';
    digest: string;
    media_type: string;
    payload: Uint8Array;
  };
  image_users: {
    image_id: string;
    user: string;
  };
  /** Holders of layers that no image need have, such as a build cache. */
  layer_users: {
    chain_id: string;
    user: string;
  };
  /** The blobs in the content store that hold a layer, in some compression. */
  layer_blobs: {
    digest: string;
    diff_id: string;
    media_type: string;
    size: number;
    /** In the content store. */
    location: string;
  };
  /** Repositories that are known to have a blob, so that a push may mount it from there. */
  blob_origins: {
    digest: string;
    domain: string;
    repository: string;
    seen_at: string;
  };
  /** Sizes of layers whose snapshot is here. */
  layers: {
    chain_id: string;
    diff_id: string;
    /** Bytes of file content. */
    bytes: number;
    /** Of the layer's uncompressed tar. */
    tar_bytes: number;
    created_at: Generated<string>;
  };
}
