import type { Ref } from '../solve/ref.ts';

/** Shows the files of refs. */
export interface RefMounts {
  /**
   * Runs `task` with files at a directory of this machine, to be read only: of the ref under '', or of several in
   * directories by their names (which have no slash). undefined: no files.
   */
  reading<T>(
    refs: ReadonlyMap<string, Ref | undefined>,
    task: (root: string) => Promise<T>,
    options: { readonly signal: AbortSignal },
  ): Promise<T>;
}
