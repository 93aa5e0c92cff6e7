import { invalid } from '#errors/errors.ts';
import type { EventValues } from './trigger.ts';

/**
 * A submission with its placeholders (`{{commit}}`) filled in, in all of its texts but the names of its fields. What an
 * event says stays within the text that it is put into. Throws `invalid` for a placeholder that there is not.
 */
export function fillIn(template: unknown, values: EventValues): unknown {
  if (typeof template === 'string') return fillText(template, values);
  if (Array.isArray(template)) return template.map((each) => fillIn(each, values));
  if (typeof template !== 'object' || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([name, each]) => [name, fillIn(each, values)]));
}

function fillText(text: string, values: EventValues): string {
  return text.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => {
    if (Object.hasOwn(values, name)) return values[name]!;
    throw invalid(`there is no placeholder ${name} here, but ${Object.keys(values).join(', ')}`);
  });
}
