import { messageOf } from '#errors/errors.ts';
import { csvFields } from '#worker/build/dockerfile/csv.ts';
import { Refusal } from '../refusal.ts';

/** What an option such as `type=local,dest=out` says; a field without `=` has the value ''. Throws `Refusal`. */
export function keyValues(option: string, text: string): Map<string, string> {
  try {
    return new Map(
      csvFields(text).map((field) => {
        const at = field.indexOf('=');
        return at < 0 ? [field, ''] : [field.slice(0, at), field.slice(at + 1)];
      }),
    );
  } catch (error) {
    throw new Refusal(`${option} ${text}: ${messageOf(error)}`, { exitCode: 2, cause: error });
  }
}
