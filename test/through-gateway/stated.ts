interface Stated {
  readonly file: string;
  /** The end of the test's name; empty for any of the file. */
  readonly test: string;
  readonly reason: string;
}

/** Tests that come out otherwise through a gateway with several workers than at a worker, and why they have to. */
export const stated: readonly Stated[] = [
  {
    file: 'progress',
    test: '',
    reason:
      'a worker that builds for the first time fetches the base image, or the repository, that another one has',
  },
];
