import { statfs } from 'node:fs/promises';

/** Magic numbers of file systems whose files are the kernel talking, not a container's data. */
const TYPES = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x1cd1, // devpts
  0x19800202, // mqueue
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x73636673, // securityfs
  0xcafe4a11, // bpf
]);

/** Whether a directory is on one of them. */
export async function isKernelFileSystem(directory: string): Promise<boolean> {
  const { type } = await statfs(directory);
  return TYPES.has(type);
}
