/** What a build context gets beside the files of its folder. */
export type Ingredient =
  | 'busybox-rootfs'
  | 'debian-rootfs'
  | 'node'
  | { readonly debianPackages: readonly string[] };

export interface StandIn {
  readonly base?: ImageName;
  readonly ingredient: Ingredient;
  /** Beside `latest`. */
  readonly tags: readonly string[];
}

export const imageNames = ['busybox', 'debian', 'nginx', 'node', 'postgres', 'redis'] as const;
export type ImageName = (typeof imageNames)[number];

/** The images that tests and examples name, made here as no public registry is assumed to be reachable. */
export const catalog: Readonly<Record<ImageName, StandIn>> = {
  busybox: { ingredient: 'busybox-rootfs', tags: ['1.35'] },
  debian: { ingredient: 'debian-rootfs', tags: ['12', 'bookworm', 'bookworm-slim'] },
  nginx: { base: 'debian', ingredient: { debianPackages: ['nginx-light'] }, tags: ['1.22'] },
  node: { base: 'debian', ingredient: 'node', tags: ['24', 'lts'] },
  postgres: { base: 'debian', ingredient: { debianPackages: ['postgresql-15'] }, tags: ['15'] },
  redis: { base: 'debian', ingredient: { debianPackages: ['redis-server'] }, tags: ['7'] },
};
