/** What a comment above says of a stage or an ARG: the rest of the first line that begins with its name. */
export function descriptionOf(name: string | undefined, comments: readonly string[]): string | undefined {
  if (!name) return undefined;
  const prefix = `${name} `;
  return comments.find((comment) => comment.startsWith(prefix))?.slice(prefix.length);
}
