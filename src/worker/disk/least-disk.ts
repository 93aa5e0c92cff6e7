/** In bytes. A smaller file system would be made of little but itself. */
export const LEAST_DISK = 256 * 1024 * 1024;
