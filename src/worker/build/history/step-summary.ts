import type { ProgressSink, VertexEvent } from '../solve/progress.ts';
import type { StepRecord } from './build-record.ts';

/** Adds up what a build tells to how long each step took. */
export class StepSummary implements ProgressSink {
  readonly #steps = new Map<string, StepRecord>();
  readonly #missed = new Map<string, string>();
  warnings = 0;

  get steps(): StepRecord[] {
    return [...this.#steps.values()].map((step) => {
      const missed = this.#missed.get(step.digest);
      return missed === undefined || step.cached ? step : { ...step, missed };
    });
  }

  vertex({ digest, name, inputs, started, completed, cached, error }: VertexEvent): void {
    const before = this.#steps.get(digest);
    const took = started && completed ? completed.getTime() - started.getTime() : 0;
    this.#steps.set(digest, {
      digest,
      name,
      ...(inputs.length > 0 && { inputs }),
      ...(started && { startedAt: before?.startedAt ?? started }),
      ...(completed && { completedAt: completed }),
      duration: (before?.duration ?? 0) + took,
      completed: completed !== undefined,
      cached,
      ...(error !== undefined && { error }),
    });
  }

  missed(digest: string, reason: string): void {
    this.#missed.set(digest, reason);
  }

  status(): void {}

  async log(): Promise<void> {}

  warning(): void {
    this.warnings++;
  }
}
