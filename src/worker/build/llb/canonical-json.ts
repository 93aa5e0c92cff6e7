/** One text for equal values, whatever order their members were set in. Bytes are base64, big integers digits. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, name, member: unknown) {
    // As it was before its `toJSON`: a Buffer is to look like any other bytes.
    const bytes = this[name];
    if (bytes instanceof Uint8Array) return Buffer.from(bytes).toString('base64');
    if (typeof member === 'bigint') return `${member}n`;
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(
      Object.entries(member)
        .filter(([, inner]) => inner !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  });
}
