import { systemCode } from '#errors/errors.ts';
import { reserve } from '#worker/snapshots/libc.ts';

const MIB = 1024 ** 2;
/** SQLite writes as much to its log before it is brought into the database and begun anew (`wal_autocheckpoint`)… */
const LOG_BYTES = 40 * MIB;
/** …and on a full disk, where it cannot be brought there, a few thousand writes more. */
const SPARE_BYTES = 8 * MIB;
/** Of the log's index, which takes 32 KiB for each 16 MiB. */
const INDEX_BYTES = 128 * 1024;

/**
 * Reserves the room on the disk that a worker's database writes to first, so that what makes room on a full disk can be
 * written down: that a layer is removed, a step given up. Call it once the database is open.
 */
export function reserveDatabaseRoom(file: string): void {
  for (const [path, bytes] of [
    [`${file}-wal`, LOG_BYTES + SPARE_BYTES],
    [`${file}-shm`, INDEX_BYTES],
  ] as const) {
    try {
      reserve(path, bytes);
    } catch (error) {
      // A full disk has none to reserve, and not every file system knows how to.
      if (!CANNOT.has(systemCode(error) ?? '')) throw error;
    }
  }
}

const CANNOT = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EINTR']);
