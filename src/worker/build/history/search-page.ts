import type { BuildPosition, KeptRecord } from './build-record.ts';
import type { ToldEvent } from './log-parser.ts';
import type { FoundLine, LogSearch } from './log-search.ts';

/** A line that was found, and the build that it is of. */
export interface FoundInBuild extends FoundLine {
  readonly record: KeptRecord;
  /** A place in the build's log, at the line or shortly before it. */
  readonly from: number;
}

/** Where a search goes on: in this build's log, at a place where no line is under way, behind so many that were found. */
export interface SearchPosition extends BuildPosition {
  readonly from: number;
  readonly skip: number;
}

/** What one search has found, until it is as much as was asked for or has taken as long as it may. */
export class SearchPage {
  readonly items: FoundInBuild[] = [];
  /** undefined: everything was looked at. */
  next: SearchPosition | undefined;
  readonly #limit: number;
  readonly #deadline: number;

  constructor(limit: number, deadline: number) {
    this.#limit = limit;
    this.#deadline = deadline;
  }

  /** Looks through a build's log. false: the page is at its end. */
  async look(
    record: KeptRecord,
    told: AsyncIterable<ToldEvent>,
    search: LogSearch,
    start: { readonly from: number; readonly skip: number },
  ): Promise<boolean> {
    let clean = { from: start.from, found: 0 };
    let { skip } = start;
    const add = (lines: Iterable<FoundLine>) => {
      for (const line of lines) {
        if (skip > 0) skip--;
        else if (this.items.length === this.#limit) return this.#end(record, clean.from, clean.found);
        else this.items.push({ ...line, record, from: clean.from });
        clean.found++;
      }
      return true;
    };
    for await (const { told: event, next } of told) {
      if (event.kind === 'log' && !add(search.push(event.event))) return false;
      if (event.kind === 'vertex' && event.event.completed && !add(search.end(event.event.digest)))
        return false;
      // A line that is under way when the time is over counts as two.
      const late = Date.now() > this.#deadline;
      if (late && !add(search.end())) return false;
      if (search.betweenLines) clean = { from: next, found: 0 };
      if (late) return this.#end(record, next, 0);
    }
    return add(search.end());
  }

  #end({ createdAt, ref }: KeptRecord, from: number, skip: number): false {
    this.next = { createdAt, ref, from, skip };
    return false;
  }
}
