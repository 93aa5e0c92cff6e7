/** Tables of `worker/images`. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by its domain
export interface ImageTables {}
