import { LogClip } from './log-clip.ts';
import type { LogEvent, StatusEvent } from './progress.ts';

/** Hears what happens to one step, whichever vertices of whichever builds it is. */
export interface StepWatcher {
  started(at: Date): void;
  status(event: Omit<StatusEvent, 'vertex'>): void;
  /** Resolves when the next may follow. */
  log(event: Omit<LogEvent, 'vertex'>): Promise<void>;
  completed(at: Date, outcome: StepOutcome): void;
}

export interface StepOutcome {
  readonly cached: boolean;
  readonly error?: string;
}

/** Tells all watchers, and one that comes late what it has missed: of logs as much as BuildKit keeps. */
export class StepBroadcast implements StepWatcher {
  readonly #watchers = new Set<StepWatcher>();
  readonly #statuses = new Map<string, Omit<StatusEvent, 'vertex'>>();
  readonly #logs: Omit<LogEvent, 'vertex'>[] = [];
  readonly #clips = { stdout: new LogClip(), stderr: new LogClip() };
  #startedAt: Date | undefined;
  #completed: { at: Date; outcome: StepOutcome } | undefined;

  add(watcher: StepWatcher): void {
    this.#watchers.add(watcher);
    if (this.#startedAt) watcher.started(this.#startedAt);
    for (const event of this.#statuses.values()) watcher.status(event);
    for (const event of this.#logs) void watcher.log(event);
    if (this.#completed) watcher.completed(this.#completed.at, this.#completed.outcome);
  }

  remove(watcher: StepWatcher): void {
    this.#watchers.delete(watcher);
  }

  started(at: Date): void {
    this.#startedAt = at;
    for (const watcher of this.#watchers) watcher.started(at);
  }

  status(event: Omit<StatusEvent, 'vertex'>): void {
    this.#statuses.set(event.id, event);
    for (const watcher of this.#watchers) watcher.status(event);
  }

  async log(event: Omit<LogEvent, 'vertex'>): Promise<void> {
    const kept = this.#clips[event.stream].pass(event.data);
    if (kept) this.#logs.push({ ...event, data: kept });
    await Promise.all([...this.#watchers].map((watcher) => watcher.log(event)));
  }

  completed(at: Date, outcome: StepOutcome): void {
    this.#completed = { at, outcome };
    for (const watcher of this.#watchers) watcher.completed(at, outcome);
  }
}
