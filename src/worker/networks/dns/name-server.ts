/** Answers containers that ask for names. */
export interface NameServer {
  /** Begins to answer a container; already answering it is no error. `fresh`: its namespace was never served. */
  serve(containerId: string, namespace: string, options: { fresh: boolean }): Promise<void>;
  /** Not answering it is no error. */
  stop(containerId: string): Promise<void>;
  /** Stops all. */
  close(): Promise<void>;
}
