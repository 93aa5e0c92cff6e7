import type { Edge } from '../../llb/vertex.ts';

/**
 * An edge that is made when everything about it is known: which of the client's files a stage reads, only later
 * instructions say. undefined in place of a draft is an empty file system.
 */
export class Draft {
  readonly #make: () => Edge;
  #edge: Edge | undefined;

  constructor(make: () => Edge) {
    this.#make = make;
  }

  /** Made the first time that somebody asks; drafts that it is made of are asked in turn. */
  get edge(): Edge {
    this.#edge ??= this.#make();
    return this.#edge;
  }
}

/** The drafts of one graph, in the order that they were made in. */
export class Drafts {
  readonly #drafts: Draft[] = [];

  add(make: () => Edge): Draft {
    const draft = new Draft(make);
    this.#drafts.push(draft);
    return draft;
  }

  /** Makes all edges, earlier ones first: however long a chain of them is, the stack stays flat. */
  finish(): void {
    for (const draft of this.#drafts) void draft.edge;
  }
}
