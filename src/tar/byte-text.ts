import { Buffer, isUtf8 } from 'node:buffer';

/**
 * File names are bytes, and old archives have some that are not UTF-8. They are kept as Python does
 * (PEP 383, "surrogateescape"): a byte that cannot be decoded is a lone surrogate, U+DC80 to U+DCFF, and becomes
 * that byte again when the name is written.
 */
export function decodeText(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (!text.includes('\ufffd') || isUtf8(bytes)) return text;
  let decoded = '';
  for (let offset = 0; offset < bytes.length; ) {
    const character = bytes.subarray(offset, offset + sequenceLength(bytes[offset]!));
    if (isUtf8(character)) {
      decoded += character.toString('utf8');
      offset += character.length;
    } else {
      decoded += String.fromCharCode(0xdc00 | bytes[offset]!);
      offset++;
    }
  }
  return decoded;
}

export function encodeText(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8');
  return Buffer.concat(
    [...text].map((character) => {
      const code = character.charCodeAt(0);
      const escaped = character.length === 1 && code >= 0xdc80 && code <= 0xdcff;
      return escaped ? Buffer.from([code & 0xff]) : Buffer.from(character, 'utf8');
    }),
  );
}

export function byteLength(text: string): number {
  return text.isWellFormed() ? Buffer.byteLength(text) : encodeText(text).length;
}

/** A path as `node:fs` takes it: text, or bytes where text would change them. */
export function systemPath(path: string): string | Buffer {
  return path.isWellFormed() ? path : encodeText(path);
}

/** By a sequence's first byte (RFC 3629, 3). */
function sequenceLength(first: number): number {
  if (first < 0xc0) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
