/** What a client may ask a frontend for in place of a build, as `frontend.subrequests.describe` tells of it. */
export interface Subrequest {
  readonly name: string;
  readonly version: string;
  readonly type: 'rpc';
  readonly description: string;
  readonly opts: readonly Named[] | null;
  readonly inputs: null;
  readonly metadata: readonly Named[];
  readonly refs: null;
}

interface Named {
  readonly name: string;
  readonly description: string;
}

/** An answer to one: metadata of a result without refs. */
export type SubrequestResult = ReadonlyMap<string, Uint8Array>;

const named = (name: string, description = ''): Named => ({ name, description });
const JSON_AND_TEXT = [named('result.json'), named('result.txt')];

function subrequest(
  name: string,
  description: string,
  {
    opts = [],
    metadata = JSON_AND_TEXT,
  }: { opts?: readonly Named[] | null; metadata?: readonly Named[] } = {},
): Subrequest {
  return { name, version: '1.0.0', type: 'rpc', description, opts, inputs: null, metadata, refs: null };
}

export const OUTLINE = subrequest('frontend.outline', 'List all parameters current build target supports', {
  opts: [named('target', 'Target build stage')],
});
export const TARGETS = subrequest('frontend.targets', 'List all targets current build supports');
export const LINT = subrequest('frontend.lint', 'Lint a Dockerfile', {
  metadata: [...JSON_AND_TEXT, named('result.statuscode')],
});
export const DESCRIBE = subrequest('frontend.subrequests.describe', 'List available subrequest types', {
  opts: null,
});

/** The answer in its two forms; `more`: metadata of this subrequest alone. */
export function subrequestResult(
  { version }: Subrequest,
  json: unknown,
  text: string,
  more: Readonly<Record<string, string>> = {},
): SubrequestResult {
  const metadata = { 'result.json': jsonText(json), 'result.txt': text, version, ...more };
  return new Map(Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value)]));
}

/** As Go's `json.MarshalIndent` writes it. */
function jsonText(value: unknown): string {
  return JSON.stringify(value, undefined, 2).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
