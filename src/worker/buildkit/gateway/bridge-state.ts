import { randomUUID } from 'node:crypto';
import { invalid, tooMany } from '#errors/errors.ts';
import type { Build } from '#worker/build/build-service.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';
import type { Definition } from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

const MAX_RESULTS = 10_000;

/** What a client's frontend has got in one build, by the names that we gave it. */
export class BridgeState {
  /** The graphs that the build was begun with. */
  readonly inputs: Readonly<Record<string, Definition>>;
  /** Digests of vertices here by those of the client's definitions. */
  readonly digests = new Map<string, string>();
  readonly #results = new Map<string, Edge>();

  constructor(inputs: Readonly<Record<string, Definition>>) {
    this.inputs = inputs;
  }

  /** The name of a result; '' for an empty file system. */
  add(edge: Edge | undefined): string {
    if (!edge) return '';
    if (this.#results.size >= MAX_RESULTS) throw tooMany(`more than ${MAX_RESULTS} results in a build`);
    const id = randomUUID();
    this.#results.set(id, edge);
    return id;
  }

  /** Throws `invalid` for a name that was not given. */
  find(id: string): Edge | undefined {
    if (id === '') return undefined;
    const edge = this.#results.get(id);
    if (!edge) throw invalid(`no such ref: ${id.slice(0, 100)}`);
    return edge;
  }
}

/** The states of builds; each goes with its build. */
export class BridgeStates {
  readonly #states = new WeakMap<Build, BridgeState>();

  open(build: Build, inputs: Readonly<Record<string, Definition>>): void {
    this.#states.set(build, new BridgeState(inputs));
  }

  of(build: Build): BridgeState {
    const known = this.#states.get(build);
    if (known) return known;
    const state = new BridgeState({});
    this.#states.set(build, state);
    return state;
  }
}
