/** One thing that happened to an object, in the words of `docker events`. */
export interface EngineEvent {
  readonly type: 'container' | 'image' | 'network' | 'volume' | 'builder' | 'daemon' | 'plugin';
  /** `start`, `die`, `pull`, `exec_start: sh` … */
  readonly action: string;
  readonly actor: { readonly id: string; readonly attributes: Readonly<Record<string, string>> };
}

/** Takes events without ever failing or blocking its caller; stamps them with the time. */
export interface EventPublisher {
  publish(event: EngineEvent): void;
}
