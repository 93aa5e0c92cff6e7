import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { invalid, unauthorized } from '#errors/errors.ts';
import { verifySignature } from '#webhooks/signature.ts';
import { type EventValues, matchesPattern, type TriggerSource } from './trigger.ts';

/** A request as it came. */
export interface Sent {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

export interface ReadPush {
  /** The same for the same event, however often it is sent: of what was signed. */
  readonly event: string;
  /** Undefined for what the trigger does not wait for. */
  readonly values: EventValues | undefined;
}

type Pushed = Extract<TriggerSource, { kind: 'git' | 'registry' }>;

/** Checks who sent an event, and reads what it says. Throws `unauthorized`, `invalid`. */
export function readPush(
  source: Pushed,
  sent: Sent,
  { secret, now }: { secret: string; now: number },
): ReadPush {
  if (source.kind === 'registry') {
    const text = sent.body.toString();
    const event = verifySignature(sent.headers, text, { secret, now });
    return { event, values: registryValues(source.images, jsonOf(text)) };
  }
  verifyGit(source.from, sent, secret);
  const event = createHash('sha256').update(sent.body).digest('hex');
  return { event, values: gitValues(source.refs, jsonOf(sent.body.toString())) };
}

/** GitHub and Gitea sign what they send; GitLab says the secret. */
function verifyGit(from: 'github' | 'gitea' | 'gitlab', { headers, body }: Sent, secret: string): void {
  const given = {
    github: headers['x-hub-signature-256']?.replace(/^sha256=/, ''),
    gitea: headers['x-gitea-signature'],
    gitlab: headers['x-gitlab-token'],
  }[from];
  const expected = from === 'gitlab' ? secret : createHmac('sha256', secret).update(body).digest('hex');
  // Of their digests: what is compared in constant time has to be of one length.
  if (given === undefined || !timingSafeEqual(sha256(given), sha256(expected))) {
    throw unauthorized(`the event is not signed with the trigger's secret, as ${from} does it`);
  }
}

/** Of the push events of all three: `ref`, `after`, and what the repository is called. */
function gitValues(refs: readonly string[], body: Record<string, unknown>): EventValues | undefined {
  const { ref, after } = body;
  if (typeof ref !== 'string' || typeof after !== 'string') return undefined;
  // Of a ref that was deleted.
  if (!/^[0-9a-f]{40,64}$/.test(after) || /^0+$/.test(after)) return undefined;
  if (!refs.some((pattern) => matchesPattern(pattern, ref))) return undefined;
  const repository =
    textIn(body.repository, 'full_name') ?? textIn(body.project, 'path_with_namespace') ?? '';
  const short = ref.replace(/^refs\/(?:heads|tags)\//, '');
  return {
    ref,
    branch: ref.startsWith('refs/heads/') ? short : '',
    tag: ref.startsWith('refs/tags/') ? short : '',
    slug: slugOf(short),
    commit: after,
    repository,
  };
}

/** Of a CloudEvent of the registry's webhooks. */
function registryValues(images: readonly string[], body: Record<string, unknown>): EventValues | undefined {
  const { type, data } = body;
  const [repository, tag, digest] = ['repository', 'tag', 'digest'].map((name) => textIn(data, name));
  if (type !== 'io.slipway.manifest.push' || !repository || !tag || !digest) return undefined;
  if (!images.some((pattern) => matchesPattern(pattern, `${repository}:${tag}`))) return undefined;
  return { repository, tag, digest };
}

/** What may be a tag of an image. */
function slugOf(text: string): string {
  const slug = text
    .toLowerCase()
    .replace(/[^a-z0-9_.-]+/g, '-')
    .replace(/^[.-]+/, '');
  return slug.slice(0, 128) || 'x';
}

function textIn(value: unknown, name: string): string | undefined {
  const found = (value as Record<string, unknown> | null | undefined)?.[name];
  return typeof found === 'string' ? found : undefined;
}

function jsonOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {}
  throw invalid('expected an event as JSON (application/json)');
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
