/** What a trigger waits for. */
export type TriggerSource =
  | {
      readonly kind: 'schedule';
      /** Minutes, hours, days, months, days of the week. */
      readonly cron: string;
      /** An IANA name such as `Europe/Berlin`. */
      readonly timeZone: string;
      /** What becomes of times at which no gateway ran: nothing, or one start for all of them. */
      readonly missed: 'skip' | 'once';
    }
  | {
      readonly kind: 'image';
      /** With a tag: it starts when that means another digest. */
      readonly image: string;
      /** Milliseconds between two looks. */
      readonly every: number;
    }
  | {
      readonly kind: 'git';
      readonly from: 'github' | 'gitea' | 'gitlab';
      /** Patterns of refs, `refs/heads/*`. */
      readonly refs: readonly string[];
    }
  | {
      readonly kind: 'registry';
      /** Patterns of what was pushed, `library/*:1`. */
      readonly images: readonly string[];
    };

/** What asks for jobs by itself. Times are in milliseconds since 1970, by the database's clock. */
export interface Trigger {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  /** Its tenant's own clients have made it: it asks for what they may, and is theirs. */
  readonly confined: boolean;
  readonly source: TriggerSource;
  /** What is asked for, as JSON with placeholders (`{{commit}}`). */
  readonly submission: unknown;
  readonly enabled: boolean;
  readonly dueAt: number | null;
  readonly firedAt: number | null;
  readonly lastId: string | null;
  readonly lastError: string | null;
}

/** What is known of an event, for placeholders. */
export type EventValues = Readonly<Record<string, string>>;

/** The placeholders of each kind, with values such as they get: what a submission says is checked with these. */
export const SAMPLE_VALUES: Readonly<Record<TriggerSource['kind'], EventValues>> = {
  schedule: { time: '2026-01-31T12:00:00.000Z' },
  image: { image: 'registry.example/library/base:1', digest: `sha256:${'0'.repeat(64)}` },
  git: {
    ref: 'refs/heads/main',
    branch: 'main',
    tag: 'v1',
    slug: 'main',
    commit: '0'.repeat(40),
    repository: 'team/app',
  },
  registry: { repository: 'library/base', tag: '1', digest: `sha256:${'0'.repeat(64)}` },
};

/** Whether a text is as a pattern says, in which `*` stands for anything. */
export function matchesPattern(pattern: string, text: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === text;
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
    return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
