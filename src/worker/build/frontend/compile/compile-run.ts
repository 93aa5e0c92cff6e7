import { unsupported } from '#errors/errors.ts';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import { asHeredocWord, chompTabs } from '../../dockerfile/heredoc.ts';
import type { RunInstruction } from '../../dockerfile/instructions.ts';
import { type Mount, resolveMount } from '../../dockerfile/run-mount.ts';
import type { ExecMount, ExecOp, SecretEnv } from '../../llb/op.ts';
import { vertex } from '../../llb/vertex.ts';
import { fileEdge, Inputs } from '../graph/file-draft.ts';
import { shellOf } from '../image/image.ts';
import { type Compilation, expandIn, shownPlatform, sourceOf } from './compilation.ts';
import { addHistory } from './history.ts';
import { proxyEnvironment } from './proxy.ts';
import { type PlannedMount, planMounts } from './run-mounts.ts';
import type { Command, Stage } from './stage.ts';
import { nameStep, shownInstruction } from './vertex-name.ts';

/** Where a script of a heredoc is while it runs. */
const SCRIPTS = '/dev/pipes/';

/** RUN: a vertex that makes the stage's files anew. Throws `DockerfileError`. */
export function compileRun(compilation: Compilation, stage: Stage, command: Command): void {
  const instruction = command.instruction as RunInstruction;
  refuseDevices(instruction);
  // It can read any file of its stage.
  stage.paths.add('/');
  const mounts = instruction.mounts.map((mount) =>
    resolveMount(mount, (word) => expandIn(compilation, stage, instruction, word)),
  );
  const { args, script, shown } = commandOf(instruction, stage);
  const planned = planMounts(compilation, stage, command, mounts);
  const mounted = [...(script ? [scriptMount(compilation, script)] : []), ...planned.mounts].sort(
    byKindAndPlace,
  );
  const metadata = {
    name: nameOf(compilation, stage, command, mounts, shown),
    ...(stage.ignoreCache && { ignoreCache: true }),
    source: sourceOf(compilation, instruction.range),
  };
  const options = { platform: stage.filesPlatform ?? compilation.targetPlatform, metadata };
  const op = execOp(compilation, stage, instruction, {
    args,
    secretEnv: planned.secretEnv,
    agentSocket: planned.agentSocket,
  });
  const { files } = stage;
  const createdBy = `RUN ${[...argsPrefix(stage), ...args].join(' ')} # buildkit`;
  stage.files = compilation.drafts.add(() => {
    const inputs = new Inputs();
    const root: ExecMount = {
      type: 'bind',
      dest: '/',
      ...(files && { input: inputs.add(files.edge) }),
      output: 0,
    };
    const all = [root, ...mounted.map(({ mount }) => mount(inputs))];
    return { vertex: vertex({ ...op, mounts: all }, inputs.edges, options), output: 0 };
  });
  addHistory(compilation, stage, createdBy, { layer: true });
}

function execOp(
  compilation: Compilation,
  stage: Stage,
  instruction: RunInstruction,
  {
    args,
    secretEnv,
    agentSocket,
  }: { args: readonly string[]; secretEnv: readonly SecretEnv[]; agentSocket: string | undefined },
): ExecOp {
  const { extraHosts, ulimits, hostname, cgroupParent, network, makesVolumes } = compilation.options.steps;
  const env = stage.environment.toArray();
  const proxyEnv = proxyEnvironment(compilation.options.buildArgs);
  const volumes = makesVolumes ? [...(stage.image.config.Volumes ?? [])].sort() : [];
  const wantsSocket = agentSocket !== undefined && stage.environment.get('SSH_AUTH_SOCK') === undefined;
  return {
    kind: 'exec',
    args,
    env: wantsSocket ? [...env, `SSH_AUTH_SOCK=${agentSocket}`] : env,
    cwd: stage.directory,
    user: stage.user,
    ...(hostname !== undefined && { hostname }),
    ...(extraHosts.length > 0 && { extraHosts }),
    ...(proxyEnv.length > 0 && { proxyEnv }),
    ...(ulimits.length > 0 && { ulimits }),
    ...(cgroupParent !== undefined && { cgroupParent }),
    removeMountStubsRecursive: true,
    network: instruction.network === 'default' ? network : instruction.network,
    security: instruction.security,
    ...(secretEnv.length > 0 && { secretEnv }),
    ...(volumes.length > 0 && { volumes }),
    mounts: [],
  };
}

/** The command line, a script that it is in, and what progress shows of a heredoc. */
function commandOf(
  { command, heredocs, text }: RunInstruction,
  stage: Stage,
): { args: readonly string[]; script?: { name: string; content: string }; shown: string } {
  const { form, words } = command;
  const inShell = (line: string) => (form === 'shell' ? [...shellOf(stage.image), line] : [line]);
  const [first] = heredocs;
  if (!first) {
    return { args: form === 'shell' ? [...shellOf(stage.image), words.join(' ')] : words, shown: text };
  }
  if (words.length !== 1 || form !== 'shell') {
    throw new DockerfileError(`parsing produced an invalid run command: [${words.join(' ')}]`);
  }
  const [line = ''] = words;
  if (!asHeredocWord(line)) {
    // The documents are the shell's business: it gets them as they were written.
    const documents = heredocs.map(({ content, name }) => `\n${content}${name}`);
    return { args: inShell(line + documents.join('')), shown: text };
  }
  const shown = `${text} (${summaryOf(first.content)})`;
  const content = first.chomp ? chompTabs(first.content) : first.content;
  if (!content.startsWith('#!')) return { args: inShell(content), shown };
  return {
    args: inShell(`${SCRIPTS}${first.name}`),
    script: { name: first.name, content },
    shown,
  };
}

function summaryOf(document: string): string {
  const [first = '', ...rest] = document.trim().replaceAll('\r\n', '\n').split('\n');
  return rest.length > 0 ? `${first}...` : first;
}

function scriptMount(compilation: Compilation, script: { name: string; content: string }): PlannedMount {
  const data = Buffer.from(script.content);
  const file = compilation.drafts.add(() =>
    fileEdge(undefined, [{ type: 'mkfile', path: `/${script.name}`, mode: 0o755, data }], {
      name: '[internal] preparing inline document',
    }),
  );
  return {
    type: 'bind',
    dest: SCRIPTS,
    mount: (inputs) => ({ type: 'bind', dest: SCRIPTS, input: inputs.add(file.edge), readonly: true }),
  };
}

function nameOf(
  compilation: Compilation,
  stage: Stage,
  command: Command,
  mounts: readonly Mount[],
  shown: string,
): string {
  const { environment } = stage;
  const secrets = new Set(mounts.flatMap(({ type, env }) => (type === 'secret' && env ? [env] : [])));
  const variables = (name: string) => (secrets.has(name) ? '****' : environment.get(name));
  const { escapeToken } = compilation;
  const text = shownInstruction(shown, variables, { escapeToken, rawQuotes: true, skipUnsetEnv: true });
  const platform = shownPlatform(compilation, stage.filesPlatform);
  return nameStep(stage, text, { platform, onbuild: command.onbuild, environment });
}

/** `|2 a=1 b=2`: what ARGs came to, which the command saw. */
export function argsPrefix({ args, environment }: Stage): string[] {
  const values = new Map<string, string>();
  for (const { name, value } of args) values.set(name, environment.get(name) ?? value ?? '');
  if (values.size === 0) return [];
  return [`|${values.size}`, ...[...values].map(([name, value]) => `${name}=${value}`)];
}

/** Files first, by where they are; then what is made for the command. */
function byKindAndPlace(a: PlannedMount, b: PlannedMount): number {
  const made = (mount: PlannedMount) => ['secret', 'ssh'].indexOf(mount.type) + 1;
  if (made(a) !== made(b)) return made(a) - made(b);
  if (made(a) > 0 || a.dest === b.dest) return 0;
  return a.dest < b.dest ? -1 : 1;
}

function refuseDevices({ devices }: RunInstruction): void {
  const device = devices.find(({ required }) => required);
  if (device) throw unsupported(`RUN --device: this builder has no device ${device.name}`);
}
