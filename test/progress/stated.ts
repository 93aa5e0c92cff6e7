/** A line that is one builder's alone, and why that stays so. */
export interface StatedDifference {
  /** Which runs it is about. */
  readonly run: RegExp;
  /** Lines that only we tell. */
  readonly ours?: RegExp;
  /** Lines that only BuildKit tells. */
  readonly theirs?: RegExp;
  readonly why: string;
}

export const statedDifferences: readonly StatedDifference[] = [
  {
    run: /^(?:platforms|outputs|caches)-/,
    ours: /^ {2}\. (?:naming|unpacking) to /,
    why: 'This worker has a store of images, as BuildKit has in containerd and in Docker; the BuildKit beside has none.',
  },
  {
    run: /^outputs-(?:named|unpacked)$/,
    theirs: /^ {2}\. exporting (?:attestation manifest|manifest list) /,
    why: 'The store of images has no place for what is stated of one.',
  },
  {
    run: /^caches-to-/,
    ours: /^ {2}\. sending cache export /,
    why: 'BuildKit tells it since v0.26; the one beside is older.',
  },
  {
    run: /^fails-parse-/,
    ours: /load \.dockerignore|transferring context: |\(2\/2\) FINISHED/,
    theirs: /\(1\/1\) FINISHED/,
    why: 'It is read beside the Dockerfile.',
  },
  {
    run: /^fails-(?:from|target)-/,
    ours: /load \.dockerignore$|transferring context: /,
    why: 'It is read beside the Dockerfile, and not after images were looked up.',
  },
  {
    run: /^fails-from-/,
    ours: /Get "/,
    theirs: /failed to do request: Head "/,
    why: 'A manifest is asked for at once, and not only whether it is there.',
  },
  {
    run: /^fails-copy-/,
    ours: /COPY file \/ NOT STARTED$/,
    theirs: /COPY file \/ ?(?:CACHED)? ?(?:CANCELED)?$/,
    why: 'What is not in the context is noticed before anything that would be thrown away is done.',
  },
  {
    run: /^git-add$/,
    ours: /^ {2}out "COMMIT\\trefs\/heads\/main\\n"$/,
    theirs: /Initialized empty Git repository|^ {2}err "From /,
    why: 'git init and git fetch are quiet.',
  },
  {
    run: /^git-subdirectory$/,
    ours: /load git source .* CACHED$/,
    theirs: /load git source /,
    why: 'A commit that was fetched is there for all of its directories.',
  },
  {
    run: /^contexts-named$/,
    ours: /resolve REGISTRY\/library\/busybox:latest@/,
    theirs: /resolve REGISTRY\/library\/busybox:latest /,
    why: 'It is told which image it is that the name was found to be.',
  },
  {
    run: /^onbuild-build$/,
    ours: /OCI load from client CACHED$/,
    theirs: /OCI load from client$/,
    why: 'The layers were made here, and are still.',
  },
  {
    run: /^platforms-local$/,
    ours: /copying files \(/,
    theirs: /copying files linux\//,
    why: 'The directories of all platforms go in one transfer.',
  },
];
