import type { ProgressSink, StatusEvent, VertexEvent } from '#worker/build/solve/progress.ts';
import { printable, shownBytes, shownDuration } from './shown-text.ts';

interface Spent {
  readonly event: VertexEvent;
  readonly duration: number;
}

const SLOWEST = 10;
/** What takes less needs no line, unless there is a reason to tell. */
const WORTH_TELLING_MS = 100;

/** Adds up where the time of a build went, for people: the slowest steps, why they were done, what was moved. */
export class TimeReport implements ProgressSink {
  readonly #began = Date.now();
  readonly #steps = new Map<string, Spent>();
  readonly #statuses = new Map<string, StatusEvent>();

  vertex(event: VertexEvent): void {
    const { started, completed } = event;
    const took = started && completed ? completed.getTime() - started.getTime() : 0;
    const before = this.#steps.get(event.digest);
    this.#steps.set(event.digest, { event, duration: (before?.duration ?? 0) + took });
  }

  status(event: StatusEvent): void {
    this.#statuses.set(`${event.vertex} ${event.id}`, event);
  }

  async log(): Promise<void> {}

  warning(): void {}

  /** Empty when nothing was done. `missed`: why steps were not found in the cache, by their digest. */
  text(missed: ReadonlyMap<string, string>): string {
    const steps = [...this.#steps.values()].filter(({ event }) => event.started);
    if (steps.length === 0) return '';
    const own = steps.filter(({ event }) => isStep(event));
    const cached = own.filter(({ event }) => event.cached).length;
    const total = shownDuration(Date.now() - this.#began);
    const head = `Where the time went: ${total}, ${cached} of ${own.length} steps cached`;
    const told = steps
      .filter(
        ({ event, duration }) => !event.cached && (duration >= WORTH_TELLING_MS || missed.has(event.digest)),
      )
      .sort((a, b) => b.duration - a.duration)
      .slice(0, SLOWEST);
    const rows = told.flatMap(({ event, duration }) => this.#rows(event, duration, missed.get(event.digest)));
    return [head, ...rows].map((line) => `${line}\n`).join('');
  }

  #rows({ digest, name }: VertexEvent, duration: number, reason: string | undefined): string[] {
    const moved = this.#moved(digest);
    const rows = [`${shownDuration(duration).padStart(9)}  ${printable(name)}${moved && `: ${moved}`}`];
    if (reason !== undefined) rows.push(`${' '.repeat(11)}${printable(reason)}`);
    return rows;
  }

  /** What went over the wire for a step, or was pushed in it. */
  #moved(digest: string): string {
    const own = [...this.#statuses.values()].filter(({ vertex }) => vertex === digest);
    const transfers = own.filter(({ id }) => id.startsWith('transferring '));
    const bytes = transfers.reduce((sum, { current }) => sum + current, 0);
    const pushing = spanOf(own.filter(({ id }) => id.startsWith('pushing ')));
    const parts = [
      ...(transfers.length > 0 ? [`${shownBytes(bytes)} sent`] : []),
      ...(pushing > 0 ? [`push ${shownDuration(pushing)}`] : []),
    ];
    return parts.join(', ');
  }
}

/** Sources have no inputs and are never cached: they are looked at, or brought here. */
function isStep({ name, inputs }: VertexEvent): boolean {
  return inputs.length > 0 && !name.startsWith('exporting to ');
}

/** From the first beginning to the last end. */
function spanOf(statuses: readonly StatusEvent[]): number {
  const whole = statuses.filter(({ started, completed }) => started && completed);
  if (whole.length === 0) return 0;
  const begin = Math.min(...whole.map(({ started }) => started!.getTime()));
  return Math.max(...whole.map(({ completed }) => completed!.getTime())) - begin;
}
