/** What one container may know by name. */
export interface Zone {
  /** Addresses of both families; undefined for a name that is no container's. */
  lookup(name: string): readonly string[] | undefined;
  /** Name of the container that has an address. */
  reverse(address: string): string | undefined;
  /** Servers that know the rest, asked from the host; none on internal networks. */
  upstreams(): Promise<readonly string[]>;
}
