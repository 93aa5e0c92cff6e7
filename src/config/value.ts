import { parse } from 'yaml';
import { z } from 'zod';

/**
 * A setting's value from one line of text (environment, --set): a list from commas, a number or truth value where
 * the setting is one, YAML flow style for what is nested, and otherwise the text itself.
 */
export function parseValue(text: string, schema: z.ZodType): unknown {
  // What is made of a value comes after it was read.
  const given = schema instanceof z.ZodPipe ? schema.in : schema;
  const inner = given instanceof z.ZodNullable ? given.unwrap() : given;
  if (inner !== given && text === 'null') return null;
  if (inner instanceof z.ZodArray) return /^\s*\[/.test(text) ? yamlOrText(text) : splitList(text);
  if (inner instanceof z.ZodNumber || inner instanceof z.ZodBoolean) return yamlOrText(text);
  return text;
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function yamlOrText(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}
