/** A queue that is measured. */
export interface BenchQueue extends AsyncDisposable {
  readonly name: string;
  enqueue(count: number): Promise<void>;
  /** Of one of the claimers; the ids of what it got. */
  claim(claimer: number, limit: number): Promise<string[]>;
  end(id: string): Promise<void>;
}
