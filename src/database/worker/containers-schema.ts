/** Tables of `worker/containers`. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by its domain
export interface ContainerTables {}
