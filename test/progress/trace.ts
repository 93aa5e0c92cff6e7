/** What `--progress rawjson` prints a line of (BuildKit's client.SolveStatus). */
interface SolveStatus {
  readonly vertexes?: readonly Vertex[];
  readonly statuses?: readonly Status[];
  readonly logs?: readonly Log[];
  readonly warnings?: readonly Warning[];
}

interface Vertex {
  readonly digest: string;
  readonly inputs?: readonly string[];
  readonly name: string;
  readonly started?: string;
  readonly completed?: string;
  readonly cached?: boolean;
  readonly error?: string;
  readonly progressGroup?: { readonly name?: string; readonly weak?: boolean };
}

interface Status {
  readonly id: string;
  readonly vertex: string;
  readonly name?: string;
  readonly total?: number;
  readonly current: number;
  readonly completed?: string;
}

interface Log {
  readonly vertex: string;
  readonly stream: number;
  /** Base64. */
  readonly data: string;
}

interface Warning {
  readonly vertex: string;
  readonly level: number;
  readonly short: string;
  readonly detail?: readonly string[];
  readonly url?: string;
  readonly sourceInfo?: { readonly filename?: string; readonly language?: string };
  readonly range?: readonly { start?: Place; end?: Place }[];
}

interface Place {
  readonly line?: number;
  readonly character?: number;
}

/** A log that is longer is told by its ends and its length. */
const MAX_SHOWN = 2_000;

/**
 * What a build told, as text that is the same whenever the same was told: in order of names, without times, and without
 * the sizes of what was compressed.
 */
export function traceOf(output: string): string {
  const told = new Told();
  const said = output.split('\n').filter((line) => !told.take(line));
  return [...told.blocks(), said.join('\n').trim()]
    .filter(Boolean)
    .map((block) => `${block}\n`)
    .join('');
}

class Told {
  readonly #vertices = new Map<string, Vertex>();
  readonly #statuses = new Map<string, Map<string, Status>>();
  readonly #logs = new Map<string, Map<number, Buffer[]>>();
  readonly #warnings: Warning[] = [];

  /** False: it is a line for people. */
  take(line: string): boolean {
    if (!line.startsWith('{')) return false;
    const { vertexes = [], statuses = [], logs = [], warnings = [] } = JSON.parse(line) as SolveStatus;
    for (const vertex of vertexes) {
      this.#vertices.set(vertex.digest, { ...this.#vertices.get(vertex.digest), ...vertex });
    }
    for (const status of statuses) {
      const known = this.#statuses.get(status.vertex) ?? new Map<string, Status>();
      this.#statuses.set(status.vertex, known.set(status.id, status));
    }
    for (const { vertex, stream, data } of logs) {
      const streams = this.#logs.get(vertex) ?? new Map<number, Buffer[]>();
      this.#logs.set(
        vertex,
        streams.set(stream, [...(streams.get(stream) ?? []), Buffer.from(data, 'base64')]),
      );
    }
    this.#warnings.push(...warnings);
    return true;
  }

  blocks(): string[] {
    const blocks = [...this.#vertices.values()].map((vertex) => this.#block(vertex));
    return [...blocks.sort(), ...this.#warnings.map((warning) => this.#warning(warning)).sort()];
  }

  #block(vertex: Vertex): string {
    const { digest, inputs = [], name } = vertex;
    return [
      `${name}${stateOf(vertex)}`,
      ...inputs.map((input) => `  < ${this.#nameOf(input)}`),
      // Things that differ in their digests alone are as many as they are.
      ...new Set([...(this.#statuses.get(digest)?.values() ?? [])].map(statusLine).sort()),
      ...[...(this.#logs.get(digest) ?? [])].sort(([a], [b]) => a - b).map(logLine),
    ].join('\n');
  }

  #warning({ vertex, level, short, detail = [], url, sourceInfo, range = [] }: Warning): string {
    const places = range.map(({ start, end }) => `${placeOf(start)}-${placeOf(end)}`);
    const where = [url, sourceInfo?.filename, sourceInfo?.language, ...places];
    return [
      `WARNING ${level} of ${this.#nameOf(vertex)}: ${decoded(short)}`,
      ...detail.map((line) => `  ${decoded(line)}`),
      `  ${where.join(' ')}`,
    ].join('\n');
  }

  #nameOf(digest: string): string {
    return this.#vertices.get(digest)?.name ?? 'what nobody told of';
  }
}

function stateOf({ started, completed, cached, error, progressGroup }: Vertex): string {
  return [
    cached ? ' CACHED' : '',
    started ? (completed ? '' : ' UNFINISHED') : ' NOT STARTED',
    progressGroup ? ` GROUP ${progressGroup.name}${progressGroup.weak ? ' weak' : ''}` : '',
    // Clients show no more of it either.
    error ? (error.endsWith('context canceled') ? ' CANCELED' : ` ERROR ${error}`) : '',
  ].join('');
}

function statusLine({ id, name = '', total = 0, current, completed }: Status): string {
  // What a layer comes to is for whoever compresses it; how far something got that is not over is chance.
  const vague = id.includes('sha256:') || id === 'sending tarball' || !completed;
  const count = vague ? `${sign(current)}/${sign(total)}` : `${current}/${total}`;
  const shown = id.replace(/sha256:[0-9a-f]+/, 'sha256:…');
  return `  . ${shown}${name && name !== id ? ` (${name})` : ''} ${count}${completed ? '' : ' unfinished'}`;
}

function sign(count: number): string {
  return count === 0 ? '0' : 'n';
}

function logLine([stream, chunks]: [number, Buffer[]]): string {
  const text = Buffer.concat(chunks).toString();
  const long = text.length > MAX_SHOWN;
  const shown = long ? `${text.slice(0, 40)}…${text.slice(-120)} (${text.length})` : text;
  return `  ${stream === 1 ? 'out' : 'err'} ${JSON.stringify(shown)}`;
}

function decoded(text: string): string {
  return Buffer.from(text, 'base64').toString();
}

function placeOf({ line = 0, character = 0 }: Place = {}): string {
  return `${line}:${character}`;
}
