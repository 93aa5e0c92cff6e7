/** What can be searched of a manifest. */
export interface ManifestText {
  readonly title: string | undefined;
  readonly description: string | undefined;
  /** All annotations and labels in lower case, `key=value`, one a line. */
  readonly text: string;
}

/** More than this is not searched, in characters. */
const MAX_TEXT = 16 * 1024;
const MAX_TITLE = 500;

/** OCI image-spec, annotations.md; and what came before it: label-schema.org. */
const TITLES = ['org.opencontainers.image.title', 'org.label-schema.name'];
const DESCRIPTIONS = ['org.opencontainers.image.description', 'org.label-schema.description'];

/** The text of a manifest's annotations and its image's labels; undefined when there is none. Annotations go first. */
export function manifestText(
  annotations: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): ManifestText | undefined {
  const all = { ...labels, ...annotations };
  const keys = Object.keys(all);
  if (keys.length === 0) return undefined;
  const first = (candidates: readonly string[]) =>
    candidates
      .map((key) => all[key])
      .find(Boolean)
      ?.slice(0, MAX_TITLE);
  const lines = keys.map((key) => `${key}=${all[key]}`.replaceAll('\n', ' '));
  return {
    title: first(TITLES),
    description: first(DESCRIPTIONS),
    // PostgreSQL has no way to store it, and nobody types it.
    text: lines.join('\n').replaceAll('\0', '').slice(0, MAX_TEXT).toLowerCase(),
  };
}

/** The strings of an object that may be anything. */
export function stringsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
