import { z } from 'zod';

/** A tree of settings as a YAML file has it, before it is checked. */
export type Settings = { [key: string]: unknown };

/** Lays one tree over another: objects are merged, everything else (lists too) is replaced. */
export function overlay(base: Settings, over: Settings): Settings {
  const result: Settings = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = Object.hasOwn(result, key) ? result[key] : undefined;
    result[key] = isSettings(below) && isSettings(value) ? overlay(below, value) : value;
  }
  return result;
}

/** Puts a value at `a.b.c`, making the objects on the way. */
export function at(path: string, value: unknown): Settings {
  return path
    .split('.')
    .reverse()
    .reduce<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value) as Settings;
}

export function isSettings(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The dotted paths of all single settings that a schema knows, with the schema of each. */
export function* leaves(
  schema: z.ZodType,
  path: string[] = [],
): Generator<[path: string, schema: z.ZodType]> {
  if (!(schema instanceof z.ZodObject)) {
    yield [path.join('.'), schema];
    return;
  }
  for (const [key, child] of Object.entries(schema.shape)) yield* leaves(child as z.ZodType, [...path, key]);
}
