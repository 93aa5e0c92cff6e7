/** What is built, once or several times, while it is watched what builders tell of it. */
export interface Project {
  readonly name: string;
  /** By path below the context; `Dockerfile` is where it is looked for. */
  readonly files: Readonly<Record<string, string>>;
  readonly runs: readonly ProjectRun[];
  /** What is told depends on which step is faster, so it is compared with nothing that was recorded. */
  readonly racy?: boolean;
}

export interface ProjectRun {
  readonly name: string;
  /**
   * Of `buildx build`, before the context. `@REGISTRY@`, `@FILES@` and `@GIT@` stand for where those are, `@OUT@` for a
   * folder for what comes out, `@CONTEXT@` for the project's, `@WHO@` for the builder's name.
   */
  readonly args?: readonly string[];
  /** Written before it begins. */
  readonly changed?: Readonly<Record<string, string>>;
  /** Instead of the project's folder. */
  readonly context?: string;
  /** How it is shown is compared too: as lines, and on a terminal. */
  readonly shown?: boolean;
}

const CONTEXT = { 'src/a': 'a\n', 'src/b': 'b\n', file: 'contents\n' };
const TO_NOTHING = ['--provenance=false', '--output', 'type=cacheonly'];
const SHOWN = new Set(['fails-run', 'fails-parse']);
/** A transfer is under way when they fail. */
const RACY = new Set(['fails-from', 'fails-target', 'fails-stages']);
const once = (name: string, files: Record<string, string>, ...args: string[]): Project => ({
  name,
  files,
  runs: [{ name: 'build', args: [...TO_NOTHING, ...args], shown: SHOWN.has(name) }],
  racy: RACY.has(name),
});

export const projects: readonly Project[] = [
  {
    name: 'simple',
    files: {
      ...CONTEXT,
      Dockerfile: 'FROM busybox\nRUN echo one\nCOPY file /file\nRUN cat /file >&2\nENV A=b\nCMD ["true"]\n',
    },
    runs: [
      { name: 'cold', args: TO_NOTHING },
      { name: 'cached', args: TO_NOTHING, shown: true },
      { name: 'changed', args: TO_NOTHING, changed: { file: 'other contents\n' } },
      { name: 'no-cache', args: ['--no-cache', ...TO_NOTHING] },
      { name: 'pull', args: ['--pull', ...TO_NOTHING] },
    ],
  },
  {
    name: 'stages',
    files: {
      ...CONTEXT,
      '.dockerignore': '*.md\n',
      Dockerfile: `FROM busybox AS first
WORKDIR /work
RUN echo first > out
FROM busybox AS second
RUN echo second > /out
FROM busybox AS unused
RUN false
FROM scratch AS last
COPY --from=first /work/out /first
COPY --from=second /out /second
COPY --from=busybox /bin/busybox /busybox
COPY src /src
`,
    },
    runs: [
      { name: 'cold', args: TO_NOTHING },
      { name: 'cached', args: TO_NOTHING },
      { name: 'target', args: ['--target', 'second', ...TO_NOTHING] },
    ],
  },
  once('fails-run', { Dockerfile: 'FROM busybox\nRUN echo said && \\\n  exit 3\nRUN echo never\n' }),
  once('fails-copy', { ...CONTEXT, Dockerfile: 'FROM scratch\nCOPY file /\nCOPY missing /\n' }),
  once('fails-from', { Dockerfile: 'FROM 127.0.0.1:1/none\nRUN true\n' }),
  once('fails-parse', { Dockerfile: 'FROM busybox\nRUNN true\n' }),
  once('fails-target', { Dockerfile: 'FROM busybox AS base\n' }, '--target', 'bsae'),
  once('fails-secret', { Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=token,required true\n' }),
  once('fails-stages', {
    Dockerfile: `FROM busybox AS slow
RUN sleep 30
FROM busybox AS broken
RUN echo so && false
FROM scratch
COPY --from=slow / /
COPY --from=broken / /
`,
  }),
  once('warnings', {
    ...CONTEXT,
    Dockerfile: `from busybox AS Base
MAINTAINER me
ENV key value
ARG PASSWORD
WORKDIR work
RUN echo $UNKNOWN
CMD true
FROM --platform=linux/amd64 base
COPY file /
ENTRYPOINT true
`,
  }),
  once('syntax', { Dockerfile: '# check=skip=all\nFROM busybox\nmaintainer x\nRUN echo syntax\n' }),
  once('heredocs', {
    Dockerfile: `FROM busybox
RUN <<EOF
echo hello
echo there
EOF
RUN <<-ONE cat > /one
	text
ONE
COPY <<A <<B /files/
a
A
b
B
`,
  }),
  once('instructions', {
    ...CONTEXT,
    Dockerfile: `ARG VERSION=1
FROM busybox AS base
ARG VERSION
RUN --mount=type=cache,target=/cache --mount=type=bind,source=src,target=/src ls /src
RUN --network=none true
COPY --link --chown=1:1 --chmod=600 file /linked
COPY --link src /src
ADD src/a src/b /added/
COPY src/* file /several/
WORKDIR /there
USER 1000
VOLUME /data
EXPOSE 80
HEALTHCHECK CMD true
SHELL ["/bin/sh", "-ec"]
RUN echo "with $VERSION and \${VERSION:-2}"
`,
  }),
  once('logs', {
    Dockerfile: `FROM busybox
RUN printf 'one\\rtwo\\rthree\\nno newline'
RUN printf 'to stderr\\n' >&2; printf 'tabs\\tand \\033[31mcolours\\033[0m\\n'
RUN head -c 100000 /dev/zero | tr '\\0' x
RUN i=0; while [ $i -lt 3 ]; do echo line $i; i=$((i+1)); done; printf '\\r\\n\\n'
`,
  }),
  once('clipped', {
    Dockerfile: `FROM busybox
RUN head -c 3000000 /dev/zero | tr '\\0' x | sed 's/.\\{100\\}/&\\n/g'
RUN head -c 3000000 /dev/zero | tr '\\0' x | sed 's/.\\{100\\}/&\\n/g'; exit 1
`,
  }),
  {
    name: 'download',
    files: {
      Dockerfile: `FROM scratch
ARG FILES
ADD $FILES/hello.txt /
ADD $FILES/app.tar /tar
ADD $FILES/hello.txt $FILES/other.txt /dir/
`,
    },
    runs: [
      { name: 'cold', args: ['--build-arg', 'FILES=@FILES@', ...TO_NOTHING] },
      { name: 'cached', args: ['--build-arg', 'FILES=@FILES@', ...TO_NOTHING] },
    ],
  },
  {
    name: 'git',
    files: { Dockerfile: 'FROM busybox\nARG GIT\nADD $GIT/repo.git#main /repo\nRUN cat /repo/file\n' },
    runs: [
      { name: 'add', args: ['--build-arg', 'GIT=@GIT@', ...TO_NOTHING] },
      { name: 'add-cached', args: ['--build-arg', 'GIT=@GIT@', ...TO_NOTHING] },
      { name: 'context', args: TO_NOTHING, context: '@GIT@/repo.git#main' },
      { name: 'context-cached', args: TO_NOTHING, context: '@GIT@/repo.git#main' },
      { name: 'subdirectory', args: TO_NOTHING, context: '@GIT@/repo.git#main:sub' },
    ],
  },
  {
    name: 'contexts',
    files: {
      ...CONTEXT,
      Dockerfile: 'FROM base\nCOPY --from=files a /a\nCOPY --from=repo file /file\nRUN cat /a /file\n',
    },
    runs: [
      {
        name: 'named',
        args: [
          ...['--build-context', 'base=docker-image://@REGISTRY@/library/busybox'],
          ...['--build-context', 'files=@CONTEXT@/src', '--build-context', 'repo=@GIT@/repo.git#main'],
          ...TO_NOTHING,
        ],
      },
    ],
  },
  {
    name: 'onbuild',
    files: {
      ...CONTEXT,
      Dockerfile: 'FROM busybox\nRUN mkdir /on\nONBUILD RUN echo on\nONBUILD COPY file /on/\n',
    },
    runs: [
      { name: 'base', args: ['--output', 'type=oci,tar=false,dest=@OUT@/base', '--provenance=false'] },
      {
        name: 'build',
        changed: { Dockerfile: 'FROM base\nRUN cat /on/file\n' },
        args: ['--build-context', 'base=oci-layout://@OUT@/base', ...TO_NOTHING],
      },
    ],
  },
  {
    name: 'secrets',
    files: {
      ...CONTEXT,
      Dockerfile: `FROM busybox
RUN --mount=type=secret,id=token wc -c < /run/secrets/token
RUN --mount=type=secret,id=token,env=TOKEN echo "$TOKEN" | wc -c
`,
    },
    runs: [{ name: 'build', args: ['--secret', 'id=token,src=@CONTEXT@/file', ...TO_NOTHING] }],
  },
  {
    name: 'platforms',
    files: { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n' },
    runs: [
      ...[
        ['oci', 'type=oci,dest=@OUT@/platforms.tar'],
        ['push', 'type=image,name=@REGISTRY@/@WHO@/platforms:1,push=true'],
        ['local', 'type=local,dest=@OUT@/platforms'],
      ].map(([name = '', output = '']) => ({
        name,
        args: ['--platform', 'linux/amd64,linux/arm64', '--output', output],
      })),
    ],
  },
  {
    name: 'outputs',
    files: {
      ...CONTEXT,
      Dockerfile: 'FROM busybox\nRUN echo made > /made\nFROM scratch\nCOPY --from=0 /made /\nCOPY src /src\n',
    },
    runs: [
      { name: 'none' },
      {
        name: 'push',
        args: ['--push', '--tag', '@REGISTRY@/@WHO@/out:1', '--tag', '@REGISTRY@/@WHO@/out:2'],
      },
      { name: 'push-again', args: ['--push', '--tag', '@REGISTRY@/@WHO@/out:1', '--provenance=false'] },
      ...[
        ['by-digest', 'type=image,name=@REGISTRY@/@WHO@/out,push-by-digest=true,push=true'],
        ['named', 'type=image,name=outputs:1'],
        ['oci', 'type=oci,dest=@OUT@/oci.tar'],
        ['oci-directory', 'type=oci,tar=false,dest=@OUT@/oci'],
        ['local', 'type=local,dest=@OUT@/local'],
        ['tar', 'type=tar,dest=@OUT@/files.tar'],
        ['zstd', 'type=oci,dest=@OUT@/zstd.tar,compression=zstd,force-compression=true'],
        ['unpacked', 'type=image,name=outputs:2,unpack=true'],
      ].map(([name = '', output = '']) => ({ name, args: ['--output', output] })),
      {
        name: 'docker',
        args: ['--output', 'type=docker,dest=@OUT@/docker.tar', '--tag', 'outputs:1', '--provenance=false'],
      },
      {
        name: 'two',
        args: ['--output', 'type=local,dest=@OUT@/two', '--output', 'type=oci,dest=@OUT@/two.tar'],
      },
      {
        name: 'rewritten',
        args: [
          ...['--build-arg', 'SOURCE_DATE_EPOCH=0'],
          ...['--output', 'type=oci,dest=@OUT@/old.tar,rewrite-timestamp=true'],
        ],
      },
    ],
  },
  {
    name: 'caches',
    files: { ...CONTEXT, Dockerfile: 'FROM busybox\nRUN echo cached > /cached\nCOPY file /\n' },
    runs: [
      ...[
        ['to-registry', '--cache-to', 'type=registry,ref=@REGISTRY@/@WHO@/cache:1,mode=max'],
        ['from-registry', '--cache-from', 'type=registry,ref=@REGISTRY@/@WHO@/cache:1'],
        ['to-local', '--cache-to', 'type=local,dest=@OUT@/cache'],
        ['from-local', '--cache-from', 'type=local,src=@OUT@/cache'],
        ['from-nothing', '--cache-from', 'type=registry,ref=@REGISTRY@/@WHO@/none:1'],
      ].map(([name = '', ...args]) => ({ name, args: [...args, ...TO_NOTHING] })),
      {
        name: 'inline',
        args: [
          ...['--cache-to', 'type=inline', '--provenance=false'],
          ...['--output', 'type=image,name=@REGISTRY@/@WHO@/cached:1,push=true'],
        ],
      },
    ],
  },
];
