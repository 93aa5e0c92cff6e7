/** Tables of `worker/networks`. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by its domain
export interface NetworkTables {}
