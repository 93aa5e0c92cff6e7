import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Something that people build. */
export interface Scenario {
  readonly name: string;
  readonly rounds: number;
  /** Makes the context, once. */
  prepare(folder: string, images: string): void;
  /** Before each build: what makes it a new one, if anything. */
  change?(folder: string, round: number): void;
  /** Each build gets an argument that no build had before. */
  readonly cold?: boolean;
  /**
   * What is timed is a push of what was built this long before, in milliseconds, to the registry of Slipway. For
   * BuildKit's client alone.
   */
  readonly pushAfter?: number;
  /** What is timed is a build that pushes its result. For BuildKit's client alone. */
  readonly pushed?: boolean;
  /** How long the client takes by itself counts. */
  readonly alone?: boolean;
  /** How long it may take, in times of what BuildKit takes alone, and of what the current engine takes. */
  readonly goals: { readonly buildkit?: number; readonly engine?: number; readonly classic?: number };
}

const TEN_STEPS = Array.from({ length: 10 }, (_, i) => `RUN echo ${i} > /f`).join('\n');

/** Two kinds of layers: one that gzip can make nothing of, and one that it makes less than half of. */
const NOISE = { image: 'busybox', command: 'head -c 100000000 /dev/urandom > /big' };
const PROGRAMS = {
  image: 'node',
  command: 'head -c 100000000 "$(which node)" > /big && echo "$NONCE" >> /big',
};

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'ten trivial RUN steps, cold',
    rounds: 7,
    cold: true,
    prepare: (folder, images) => dockerfile(folder, `FROM ${images}busybox\nARG NONCE\n${TEN_STEPS}`),
    goals: { buildkit: 0.8, engine: 0.3, classic: 0.3 },
  },
  {
    name: 'ten trivial RUN steps, all cached',
    rounds: 11,
    alone: true,
    prepare: (folder, images) => dockerfile(folder, `FROM ${images}busybox\n${TEN_STEPS}`),
    goals: { buildkit: 1, engine: 0.4 },
  },
  {
    name: 'a node project, one source file changed',
    rounds: 7,
    prepare: (folder, images) => {
      dockerfile(
        folder,
        `FROM ${images}node\nWORKDIR /app\nCOPY package.json ./\nCOPY lib lib\nRUN npm install ./lib --no-audit --no-fund\nCOPY . .\nRUN node -e "require('fs').writeFileSync('built', '1')"\nCMD ["node","server.js"]`,
      );
      writeFileSync(join(folder, 'package.json'), '{"name":"app","version":"1.0.0"}');
      mkdirSync(join(folder, 'lib'), { recursive: true });
      writeFileSync(join(folder, 'lib/package.json'), '{"name":"lib","version":"1.0.0","main":"index.js"}');
      writeFileSync(join(folder, 'lib/index.js'), 'module.exports = 1');
      files(join(folder, 'src'), 1000);
    },
    change: (folder, round) =>
      writeFileSync(join(folder, 'server.js'), `console.log(${round}, ${Math.random()})`),
    goals: { buildkit: 0.7, engine: 0.7 },
  },
  {
    name: 'COPY of 20,000 files, cold',
    rounds: 5,
    prepare: (folder, images) => {
      dockerfile(folder, `FROM ${images}busybox\nCOPY . /app`);
      files(join(folder, 'tree'), 20_000);
    },
    change: (folder) => writeFileSync(join(folder, 'changed'), `${Math.random()}`),
    goals: { buildkit: 0.8, engine: 0.8 },
  },
  {
    name: 'COPY of 5,000 small files, all cached',
    rounds: 7,
    prepare: smallFiles,
    goals: { classic: 1 },
  },
  {
    name: 'one more beside 5,000 small files',
    rounds: 5,
    prepare: smallFiles,
    change: (folder) => writeFileSync(join(folder, 'changed'), `${Math.random()}`),
    goals: { classic: 1 },
  },
  {
    name: 'four independent stages that compute',
    rounds: 5,
    cold: true,
    prepare: (folder, images) => {
      const stages = ['a', 'b', 'c', 'd'].map(
        (name) =>
          `FROM ${images}busybox AS ${name}\nARG NONCE\nRUN i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; echo $NONCE > /${name}`,
      );
      const copies = ['a', 'b', 'c', 'd'].map((name) => `COPY --from=${name} /${name} /${name}`);
      dockerfile(folder, [...stages, `FROM ${images}busybox`, ...copies].join('\n'));
    },
    goals: { buildkit: 1, engine: 1 },
  },
  {
    name: 'Debian packages unpacked, cold',
    rounds: 3,
    cold: true,
    prepare: (folder, images) => {
      dockerfile(
        folder,
        `FROM ${images}debian\nARG NONCE\nCOPY packages /packages\nRUN dpkg --unpack /packages/*.deb && rm -rf /packages\nRUN find / -xdev -type f | wc -l > /count`,
      );
      cpSync('.cache/bench/packages', join(folder, 'packages'), { recursive: true });
    },
    goals: { buildkit: 0.9, engine: 0.9 },
  },
  {
    name: 'a Debian image with apt-get install, cold',
    rounds: 3,
    cold: true,
    prepare: (folder, images) => {
      dockerfile(
        folder,
        `FROM ${images}debian\nARG NONCE\nCOPY debs /debs\nRUN apt-get install -y --no-install-recommends /debs/*.deb && rm -rf /debs\nRUN redis-server --version && nginx -v\nCMD ["redis-server"]`,
      );
      cpSync('.cache/bench/apt/debs', join(folder, 'debs'), { recursive: true });
    },
    goals: { buildkit: 0.9, engine: 0.9 },
  },
  pushing('push of 100 MB of noise, right after the build', NOISE, { pushAfter: 0 }),
  pushing('push of 100 MB of programs, right after the build', PROGRAMS, { pushAfter: 0 }),
  {
    ...pushing('push of 100 MB of programs, 10 s after the build', PROGRAMS, { pushAfter: 10_000 }),
    goals: { buildkit: 0.1 },
  },
  pushing('build and push of 100 MB of noise', NOISE, { pushed: true }),
  pushing('build and push of 100 MB of programs', PROGRAMS, { pushed: true }),
];

function pushing(
  name: string,
  { image, command }: typeof NOISE,
  when: Pick<Scenario, 'pushAfter' | 'pushed'>,
): Scenario {
  return {
    name,
    rounds: 3,
    cold: true,
    ...when,
    prepare: (folder, images) =>
      dockerfile(folder, `FROM ${images}${image}\nARG NONCE\nRUN ${command}\nRUN echo done > /done`),
    goals: {},
  };
}

function dockerfile(folder: string, text: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'Dockerfile'), `${text}\n`);
}

function files(folder: string, count: number): void {
  for (let i = 0; i < count; i++) {
    const directory = join(folder, `${i % 100}`);
    if (i < 100) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${i}.js`), `module.exports = ${i};\n`.repeat(8));
  }
}

function smallFiles(folder: string, images: string): void {
  dockerfile(folder, `FROM ${images}busybox\nCOPY . /app\nRUN true`);
  files(join(folder, 'tree'), 5000);
}
