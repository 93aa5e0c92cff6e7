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
  const users = actions.map((_, at) => usersOf(actions, inputs + at));
  const chains: { input: number | undefined; actions: number[] }[] = [];
  for (const [at, { input }] of actions.entries()) {
    const before = input === undefined ? -1 : input - inputs;
    const chain = chains.find(({ actions: own }) => own.at(-1) === before);
    if (chain && before >= 0 && users[before] === 1 && actions[before]!.output === undefined) {
      chain.actions.push(at);
    } else {
      chains.push({ input, actions: [at] });
    }
  }
  return chains;
}

function usersOf(actions: readonly FileAction[], position: number): number {
  return actions.flatMap(refersTo).filter((input) => input === position).length;
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
