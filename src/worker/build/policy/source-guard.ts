import { forbidden, invalid, SlipwayError } from '#errors/errors.ts';
import type { Platform } from '#oci/platform.ts';
import { hostPlatform } from '#oci/platform.ts';
import type { SourceOp } from '../llb/op.ts';
import { type Edge, type Vertex, vertex } from '../llb/vertex.ts';
import { applyPolicies } from './apply-policies.ts';
import { normalSource } from './normal-source.ts';
import { PolicyDenial } from './policy-denial.ts';
import type { PolicyVerifier, SourceQuestion } from './policy-verifier.ts';
import type { SourceMeta } from './source-meta.ts';
import type { SourcePolicy } from './source-policy.ts';

/** How often a client may ask, or change its mind, about one source. */
const MAX_QUESTIONS = 10;

export interface SourceGuardParts {
  /** Of the build as a whole. */
  readonly policies: readonly SourcePolicy[];
  readonly verifier?: PolicyVerifier | undefined;
  /** Finds out what a client's policy asks; of these the rules alone count. */
  readonly describe: (question: SourceQuestion) => Promise<SourceMeta>;
  readonly signal: AbortSignal;
}

/** Holds the policies of a build against the sources of its graphs, before anything is done with them. */
export class SourceGuard {
  readonly #parts: SourceGuardParts;
  /** What was let through, by what it was. */
  readonly #passed = new WeakMap<Vertex, Vertex>();

  constructor(parts: SourceGuardParts) {
    this.#parts = parts;
  }

  /** Nothing is refused or replaced. */
  get idle(): boolean {
    return this.#parts.policies.length === 0 && !this.#parts.verifier;
  }

  /** The graph with its sources replaced as policies have it. Throws `forbidden` when one is denied. */
  async graph(edge: Edge, more: readonly SourcePolicy[] = []): Promise<Edge> {
    if (this.idle && more.length === 0) return edge;
    const order = inputsFirst(edge.vertex, (one) => this.#passed.has(one) && more.length === 0);
    const sources = order.filter(isSource);
    const allowed = new Map<Vertex, Vertex>();
    await Promise.all(
      sources.map(async (one) => {
        const op = await this.source(one.op, one.platform, more).catch((error: unknown) => {
          throw inGraph(error);
        });
        allowed.set(one, op === one.op ? one : vertex(op, [], { ...one, metadata: renamed(one, op) }));
      }),
    );
    for (const one of order) {
      const passed = allowed.get(one) ?? this.#rebuilt(one);
      this.#passed.set(one, passed);
      this.#passed.set(passed, passed);
    }
    return { vertex: this.#passed.get(edge.vertex)!, output: edge.output };
  }

  /** What takes a source's place. Throws `forbidden`. */
  async source(
    asked: SourceOp,
    platform: Platform | undefined,
    more: readonly SourcePolicy[] = [],
  ): Promise<SourceOp> {
    let source = this.rules(asked, more);
    const { verifier, signal } = this.#parts;
    if (!verifier) return source;
    const meant = platform ?? hostPlatform();
    let meta: SourceMeta = { source };
    for (let at = 0; at < MAX_QUESTIONS; at++) {
      const answer = await verifier.check({ platform: meant, meta }, { signal });
      switch (answer.kind) {
        case 'allow':
          return source;
        case 'deny': {
          const what = `source ${JSON.stringify(source.identifier)} not allowed by policy`;
          throw new PolicyDenial(`${what}: action ${answer.action}`, answer.messages);
        }
        case 'convert':
          source = this.rules(answer.source, more);
          meta = { source };
          break;
        case 'more':
          checkSame(source, answer.request.source);
          meta = { ...(await this.#parts.describe(answer.request)), source };
      }
    }
    throw invalid('too many policy requests');
  }

  /** What the rules alone make of a source. */
  rules(source: SourceOp, more: readonly SourcePolicy[] = []): SourceOp {
    if (this.idle && more.length === 0) return source;
    return applyPolicies([...this.#parts.policies, ...more], normalSource(source));
  }

  #rebuilt(one: Vertex): Vertex {
    const inputs = one.inputs.map((input) => ({ ...input, vertex: this.#passed.get(input.vertex)! }));
    if (inputs.every((input, at) => input.vertex === one.inputs[at]!.vertex)) return one;
    return vertex(one.op, inputs, one);
  }
}

function isSource(one: Vertex): one is Vertex<SourceOp> {
  return one.op.kind === 'source';
}

/** Progress shows what is there in the end. */
function renamed({ op, metadata }: Vertex<SourceOp>, { identifier }: SourceOp): Vertex['metadata'] {
  return metadata.name === op.identifier ? { ...metadata, name: identifier } : metadata;
}

/** Each vertex once, without recursion: graphs may be deep and share much. */
function inputsFirst(root: Vertex, known: (vertex: Vertex) => boolean): Vertex[] {
  const order = new Set<Vertex>();
  const open = [root];
  for (let one = open.at(-1); one !== undefined; one = open.at(-1)) {
    const missing = order.has(one)
      ? []
      : one.inputs.map((input) => input.vertex).filter((input) => !order.has(input) && !known(input));
    if (missing.length > 0) {
      open.push(...missing);
      continue;
    }
    open.pop();
    if (!known(one)) order.add(one);
  }
  return [...order];
}

/** A client may ask about the source in question alone. */
function checkSame(source: SourceOp, asked: SourceOp): void {
  if (source.identifier !== asked.identifier) {
    const names = `${JSON.stringify(asked.identifier)} != ${JSON.stringify(source.identifier)}`;
    throw forbidden(`policy requested different source identifier: ${names}`);
  }
  const names = new Set([...Object.keys(source.attrs), ...Object.keys(asked.attrs)]);
  const different = [...names].find((name) => source.attrs[name] !== asked.attrs[name]);
  if (different !== undefined) throw forbidden(`policy requested different source attrs: ${different}`);
}

function inGraph(error: unknown): unknown {
  if (!(error instanceof SlipwayError)) return error;
  const message = `failed to load LLB: error evaluating the source policy: ${error.message}`;
  if (error instanceof PolicyDenial) return new PolicyDenial(message, error.messages);
  return new SlipwayError(error.kind, message, { cause: error });
}
