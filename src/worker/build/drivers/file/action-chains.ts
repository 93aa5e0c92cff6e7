import { invalid } from '#errors/errors.ts';
import type { FileAction, FileOp } from '../../llb/op.ts';

/** Actions that follow on each other in one file system, without anything to be made of it between. */
export interface ActionChain {
  /** As `FileAction.input` counts: what the first of them changes; undefined: an empty file system. */
  readonly input: number | undefined;
  /** Positions among the op's actions. */
  readonly actions: readonly number[];
}

/**
 * Groups a file op's actions: one goes on where the one before it ended, unless somebody else needs that outcome as
 * it was then. Throws `invalid` for actions that refer to what is not there.
 */
export function chainsOf({ actions }: FileOp, inputs: number): ActionChain[] {
  for (const [at, action] of actions.entries()) check(action, inputs + at);
  const users = usersOf(actions);
  const chains: { input: number | undefined; actions: number[] }[] = [];
  /** By the position of its last action. */
  const ending = new Map<number, number[]>();
  for (const [at, { input }] of actions.entries()) {
    const before = input === undefined ? -1 : input - inputs;
    const chain = ending.get(before);
    if (chain && users.get(input!) === 1 && actions[before]!.output === undefined) {
      ending.delete(before);
      chain.push(at);
      ending.set(at, chain);
    } else {
      const own = [at];
      chains.push({ input, actions: own });
      ending.set(at, own);
    }
  }
  return chains;
}

/** How often each input is needed. Clients may write more actions than could be gone through for each of them. */
function usersOf(actions: readonly FileAction[]): ReadonlyMap<number, number> {
  const users = new Map<number, number>();
  for (const input of actions.flatMap(refersTo)) users.set(input, (users.get(input) ?? 0) + 1);
  return users;
}

function check(action: FileAction, limit: number): void {
  for (const input of refersTo(action)) {
    if (!Number.isInteger(input) || input < 0 || input >= limit) {
      throw invalid(`invalid input index ${input} in a file op`);
    }
  }
}

/** Every input that an action needs, by whatever name. */
export function refersTo(action: FileAction): number[] {
  const { user, group } = ('owner' in action && action.owner) || {};
  const byName = [user, group].map((option) => option && 'byName' in option && option.byName.input);
  return [action.input, action.secondaryInput, ...byName].filter((input) => typeof input === 'number');
}
