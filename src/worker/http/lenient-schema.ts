import { z } from 'zod';

/** JSON as Go reads it: what is absent or null is the type's zero value. */
export const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
export const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false);
export const integer = z
  .number()
  .int()
  .nullish()
  .transform((value) => value ?? 0);
export const optionalInteger = z
  .number()
  .int()
  .nullish()
  .transform((value) => value ?? null);
export const optionalFlag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? null);
/** Null and an empty list are not the same to those who read them back. */
export const texts = z
  .array(z.string())
  .nullish()
  .transform((value) => value ?? null);
/** One word or a list of them. */
export const words = z
  .union([z.string().transform((value) => [value]), z.array(z.string())])
  .nullish()
  .transform((value) => value ?? null);
export const textMap = z
  .record(
    z.string(),
    z
      .string()
      .nullable()
      .transform((value) => value ?? ''),
  )
  .nullish()
  .transform((value) => value ?? undefined);
export const keySet = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((value) => (value ? Object.fromEntries(Object.keys(value).map((key) => [key, {}])) : undefined));
export const anything = z
  .array(z.unknown())
  .nullish()
  .transform((value) => value ?? null);
