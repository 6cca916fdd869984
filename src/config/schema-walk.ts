/** The way from a place in the file to the part of the schema that rules it. */

import * as z from 'zod';
import { hints } from './fields.ts';
import type { Hint } from './fields.ts';
import type { Path } from './problem.ts';

/** Takes off what makes a value optional or gives it a default. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) return unwrap(schema.unwrap());
  return schema;
}

/** The schema of a mapping's key or of a list's items; undefined where there is none. */
export function childSchema(schema: z.core.$ZodType, step: string | number): z.core.$ZodType | undefined {
  const plain = unwrap(schema);
  if (plain instanceof z.ZodArray) return plain.element;
  if (plain instanceof z.ZodRecord) return plain.valueType;
  if (plain instanceof z.ZodUnion) return mappingOption(plain, (option) => childSchema(option, step));
  if (!(plain instanceof z.ZodObject)) return undefined;
  const shape: z.ZodRawShape = plain.shape;
  return shape[step];
}

/** The keys that a mapping may have; empty where the file chooses them itself. */
export function knownKeys(schema: z.core.$ZodType): readonly string[] {
  const plain = unwrap(schema);
  if (plain instanceof z.ZodUnion) return mappingOption(plain, knownKeys) ?? [];
  return plain instanceof z.ZodObject ? Object.keys(plain.shape) : [];
}

export function schemaAt(root: z.core.$ZodType, path: Path): z.core.$ZodType | undefined {
  return path.reduce<z.core.$ZodType | undefined>(
    (schema, step) => (schema === undefined ? undefined : childSchema(schema, step)),
    root,
  );
}

export function hintOf(schema: z.core.$ZodType): Hint | undefined {
  return hints.get(unwrap(schema));
}

/** Of the alternatives, at most one is a mapping. */
function mappingOption<Found>(union: z.ZodUnion, find: (option: z.core.$ZodType) => Found): Found | undefined {
  const option = union.options.find((one) => one instanceof z.ZodObject || one instanceof z.ZodRecord);
  return option === undefined ? undefined : find(option);
}
