import { listDirectory } from './directory-listing.ts';

/** Bytes of file content and number of inodes below a directory; a file with several names counts once. */
export function treeUsage(root: string): { bytes: number; inodes: number } {
  const linked = new Set<number>();
  let bytes = 0;
  let inodes = 0;
  const visit = (directory: string): void => {
    for (const { path, stats } of listDirectory(directory)) {
      if (stats.nlink > 1 && !stats.isDirectory()) {
        if (linked.has(stats.ino)) continue;
        linked.add(stats.ino);
      }
      inodes++;
      if (stats.isFile()) bytes += stats.size;
      if (stats.isDirectory()) visit(path);
    }
  };
  visit(root);
  return { bytes, inodes };
}
