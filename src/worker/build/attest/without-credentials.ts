/** An address without who asks for it: `https://user:password@host`. */
export function withoutCredentials(text: string): string {
  return text.replace(/^([a-z+]+:\/\/)[^/@:\s]*(:?)[^/@\s]*@/i, (_all, scheme: string, colon: string) =>
    colon ? `${scheme}xxxxx:xxxxx@` : `${scheme}xxxxx@`,
  );
}
