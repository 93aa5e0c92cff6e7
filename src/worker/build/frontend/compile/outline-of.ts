import type { Outline, OutlineArg, OutlineService } from '../../dockerfile/subrequests/outline.ts';
import type { ServiceUse } from './outline-capture.ts';
import { reachableFrom, type Stage } from './stage.ts';

/** What can be given to a build of a stage: what it uses, and what the stages use that it needs. */
export function outlineOf(target: Stage): Outline {
  const args = new Map<string, OutlineArg>();
  const secrets = new Map<string, OutlineService>();
  const ssh = new Map<string, OutlineService>();
  for (const stage of reachableFrom(target)) {
    for (const name of usedBy(stage)) {
      const use = stage.outline.args.get(name);
      if (!use || args.has(name)) continue;
      const { description } = use.arg;
      args.set(name, {
        name: use.arg.name,
        value: use.value,
        range: use.range,
        ...(description && { description }),
      });
    }
    addServices(secrets, stage.outline.secrets);
    addServices(ssh, stage.outline.ssh);
  }
  const description = target.from?.description;
  return {
    ...(target.name && { name: target.name }),
    ...(description && { description }),
    args: [...args.values()],
    secrets: [...secrets.values()],
    ssh: [...ssh.values()],
  };
}

/** ARGs that a stage uses, and those that their defaults are made of. */
function usedBy({ outline }: Stage): ReadonlySet<string> {
  const used = new Set(outline.used);
  for (const name of used) {
    for (const dependency of outline.args.get(name)?.dependencies ?? []) used.add(dependency);
  }
  return used;
}

function addServices(to: Map<string, OutlineService>, from: ReadonlyMap<string, ServiceUse>): void {
  for (const [name, { required, range }] of from) {
    if (!to.has(name)) to.set(name, { name, required, range });
  }
}
