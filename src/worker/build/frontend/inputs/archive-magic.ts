const MAGIC: readonly (readonly number[])[] = [
  [0x42, 0x5a, 0x68],
  [0x1f, 0x8b, 0x08],
  [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  [0x28, 0xb5, 0x2f, 0xfd],
];
const BLOCK = 512;
const CHECKSUM = { start: 148, end: 156 } as const;

/** Whether a file that begins so is a tar archive, perhaps compressed (bzip2, gzip, xz, zstd). */
export function looksLikeArchive(head: Uint8Array): boolean {
  if (MAGIC.some((magic) => magic.every((byte, at) => head[at] === byte))) return true;
  return head.length >= BLOCK && isTarHeader(head.subarray(0, BLOCK));
}

/** The checksum is the sum of the header's bytes, its own taken for spaces. */
function isTarHeader(header: Uint8Array): boolean {
  const written = Buffer.from(header.subarray(CHECKSUM.start, CHECKSUM.end)).toString('latin1');
  const digits = /^[\0 ]*([0-7]+)[\0 ]*$/.exec(written)?.[1];
  if (digits === undefined) return false;
  const sum = header.reduce(
    (total, byte, at) => total + (at >= CHECKSUM.start && at < CHECKSUM.end ? 0x20 : byte),
    0,
  );
  return sum === Number.parseInt(digits, 8);
}
