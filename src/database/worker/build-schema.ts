/** Tables of `worker/build`. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by its domain
export interface BuildTables {}
