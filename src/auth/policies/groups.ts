import { invalid } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import type { GroupMember, GroupsRepository } from './groups-repository.ts';
import { parseAccountName, parseSubject } from './subject.ts';

/** Users and robots that get grants together, as `group:<name>`. A group is there while it has members. */
export class Groups {
  readonly #groups: GroupsRepository;

  constructor(ports: { groups: GroupsRepository }) {
    this.#groups = ports.groups;
  }

  /** By group and member. */
  async list(
    filter: { group?: string | undefined; member?: string | undefined } = {},
  ): Promise<GroupMember[]> {
    return await this.#groups.list(filter);
  }

  /** Throws `not-found` for a member that there is not, `invalid`. One that is in it already stays. */
  async add(group: string, member: string, actor: Actor): Promise<void> {
    await this.#groups.add({ group: parseAccountName(group), member: parseMember(member) }, actor);
  }

  /** Throws `not-found`. */
  async remove(group: string, member: string, actor: Actor): Promise<void> {
    await this.#groups.remove({ group: parseAccountName(group), member: parseMember(member) }, actor);
  }
}

function parseMember(text: string): string {
  const subject = parseSubject(text);
  if (!/^(?:user|robot):/.test(subject))
    throw invalid(`${subject} cannot be in a group: users and robots can`);
  return subject;
}
