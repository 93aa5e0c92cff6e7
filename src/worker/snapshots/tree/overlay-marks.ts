import { constants } from 'node:fs';
import { getXattr, mknod, setXattr } from '../libc.ts';

/** How layers and overlayfs say "deleted" (OCI image-spec, layer.md, "Whiteouts"; kernel, overlayfs.rst). */

/** In a layer: `.wh.name` deletes `name` of the layers below. */
export const WHITEOUT_PREFIX = '.wh.';
/** In a layer: hides everything that the layers below have in its directory. */
export const OPAQUE_WHITEOUT = '.wh..wh..opq';
/** Other names with this prefix are notes of the old aufs driver, and no files. */
export const META_PREFIX = '.wh..wh.';

/** In overlayfs: the same on a directory. A deleted file is a character device 0/0. */
export const OPAQUE_XATTR = 'trusted.overlay.opaque';

/**
 * In overlayfs: the directory may hold whiteouts although no other layer has it (fs/overlayfs/inode.c, ovl_get_inode):
 * without it they are listed there, as names that nothing is behind. An empty value is one.
 */
const ORIGIN_XATTR = 'trusted.overlay.origin';

/** Says that a name of the layers below is gone. Throws as `mknod`. */
export function makeWhiteout(directory: string, name: string): void {
  mknod(`${directory}/${name}`, constants.S_IFCHR, 0, 0);
  if (getXattr(directory, ORIGIN_XATTR) === undefined) setXattr(directory, ORIGIN_XATTR, new Uint8Array());
}

/** Attributes that tell overlayfs where to look for a file: never taken from, or given to, an archive. */
export function isOverlayXattr(name: string): boolean {
  return name.startsWith('trusted.overlay.') || name.startsWith('user.overlay.');
}
