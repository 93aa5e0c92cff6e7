/** What a job of kind `build` is to build. */
export interface BuildSpec {
  /** The URL of a git repository or of an archive; or of what a client has sent, by its digest. */
  readonly context: { readonly url: string } | { readonly upload: string };
  /** The Dockerfile's path in the context. */
  readonly file?: string | undefined;
  readonly target?: string | undefined;
  readonly args: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly platforms: readonly string[];
  readonly noCache: boolean;
  /** What the image is called, all with a tag: `127.0.0.1:5000/team/app:1`. */
  readonly tags: readonly string[];
}

/** What a job of kind `run` is to run. */
export interface RunSpec {
  readonly image: string;
  /** Instead of the image's own. */
  readonly command?: readonly string[] | undefined;
  readonly entrypoint?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  readonly limits: {
    readonly cpus?: number | undefined;
    /** In bytes. */
    readonly memory?: number | undefined;
    readonly pids?: number | undefined;
  };
  readonly network: 'bridge' | 'none';
  /** What of its files is kept at its end, and under what name with a tag. */
  readonly artifacts: readonly { readonly path: string; readonly name: string }[];
}
