import { getXattr, listXattrs, mknod, setXattr } from '../../snapshots/libc.ts';
import type { ExtendedFiles } from './extended-files.ts';

const TYPE_BITS = { character: 0o020000, block: 0o060000, fifo: 0o010000 } as const;

/** By system calls. */
export class KernelFiles implements ExtendedFiles {
  async readXattrs(path: string): Promise<ReadonlyMap<string, Uint8Array>> {
    const attributes = new Map<string, Uint8Array>();
    for (const name of listXattrs(path)) {
      // Overlay's own and the host's labels mean nothing anywhere else.
      if (name.startsWith('trusted.overlay.') || name === 'security.selinux') continue;
      const value = getXattr(path, name);
      if (value) attributes.set(name, value);
    }
    return attributes;
  }

  async writeXattr(path: string, name: string, value: Uint8Array): Promise<void> {
    setXattr(path, name, value);
  }

  async makeNode(
    path: string,
    type: 'character' | 'block' | 'fifo',
    mode: number,
    major: number,
    minor: number,
  ): Promise<void> {
    mknod(path, TYPE_BITS[type] | mode, major, minor);
  }
}
