import { invalid } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import { parseAccountName } from '../policies/subject.ts';
import type { Robot } from './robot.ts';
import { type RobotsRepository, unknownRobot } from './robots-repository.ts';

/** Accounts for machines. What they may do is in the policies, under the subject `robot:<name>`. */
export class Robots {
  readonly #robots: RobotsRepository;

  constructor(ports: { robots: RobotsRepository }) {
    this.#robots = ports.robots;
  }

  /** Throws `invalid` for a name that cannot be, `conflict` for one that is taken. Its secrets are made apart. */
  async create(
    robot: { name: string; description?: string | undefined; expiresAt?: number | undefined },
    actor: Actor,
  ): Promise<Robot> {
    const name = parseAccountName(robot.name);
    const description = checkedDescription(robot.description ?? '');
    await this.#robots.insert({ name, description, expiresAt: checkedTime(robot.expiresAt) }, actor);
    return await this.get(name);
  }

  /** Throws `not-found`. */
  async get(name: string): Promise<Robot> {
    const robot = await this.#robots.find(name);
    if (!robot) throw unknownRobot(name);
    return robot;
  }

  /** By name, after `last`. */
  async list(options: { limit: number; last?: string | undefined }): Promise<Robot[]> {
    return await this.#robots.list(options);
  }

  /** Throws `not-found`. A null `expiresAt` lets it live on. Being disabled ends what it had logged in. */
  async update(
    name: string,
    change: {
      description?: string | undefined;
      disabled?: boolean | undefined;
      expiresAt?: number | null | undefined;
    },
    actor: Actor,
  ): Promise<Robot> {
    if (change.description !== undefined) checkedDescription(change.description);
    checkedTime(change.expiresAt ?? undefined);
    await this.#robots.update(name, change, actor);
    return await this.get(name);
  }

  /** Throws `not-found`. Its grants and secrets go along. */
  async remove(name: string, actor: Actor): Promise<void> {
    await this.#robots.remove(name, actor);
  }
}

/** Throws `invalid` for more than a line. */
export function checkedDescription(text: string): string {
  if (text.length > 200 || /[\x00-\x1f\x7f]/.test(text)) {
    throw invalid('expected a description of one line, of at most 200 characters');
  }
  return text;
}

/** Throws `invalid` for what is no moment. */
export function checkedTime(time: number | undefined): number | undefined {
  if (time === undefined || (Number.isSafeInteger(time) && time > 0)) return time;
  throw invalid('expected a time in milliseconds since 1970');
}
