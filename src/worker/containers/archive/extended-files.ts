/** What Node cannot do to files: extended attributes and special files. */
export interface ExtendedFiles {
  /** Of the file itself, not of what it links to; empty where the file system has none. */
  readXattrs(path: string): Promise<ReadonlyMap<string, Uint8Array>>;
  writeXattr(path: string, name: string, value: Uint8Array): Promise<void>;
  makeNode(
    path: string,
    type: 'character' | 'block' | 'fifo',
    mode: number,
    major: number,
    minor: number,
  ): Promise<void>;
}
