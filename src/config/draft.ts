/**
 * What could be understood of a file that has mistakes: the same shape, with `undefined` wherever a value did not fit.
 * Lists keep their length, so that an index still names the place in the file.
 */

import * as z from 'zod';
import type { IpPrefix } from '../base/index.ts';
import type { Endpoint } from './endpoint.ts';
import { childSchema, unwrap } from './schema-walk.ts';
import type { ConfigFile } from './schema.ts';

export type Draft<Value> = Value extends Endpoint | IpPrefix
  ? Value
  : Value extends readonly (infer Item)[]
    ? readonly (Draft<Item> | undefined)[]
    : Value extends object
      ? { readonly [Key in keyof Value]?: Draft<Value[Key]> | undefined }
      : Value;

export type FileDraft = Draft<ConfigFile>;

/** Reads as much of the value as fits the schema, each part for itself. */
export function draftOf<Schema extends z.ZodType>(schema: Schema, value: unknown): Draft<z.output<Schema>> | undefined {
  // The walk follows the schema, so its result has the schema's shape; the compiler cannot follow it there.
  return salvage(schema, value) as Draft<z.output<Schema>> | undefined;
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function salvage(schema: z.core.$ZodType, value: unknown): unknown {
  const plain = unwrap(schema);
  if (Array.isArray(value) && plain instanceof z.ZodArray) return value.map((item) => salvage(plain.element, item));
  if (isMapping(value) && (plain instanceof z.ZodObject || plain instanceof z.ZodUnion)) {
    return salvageMapping(plain, value);
  }
  const read = z.safeParse(schema, value);
  return read.success ? read.data : undefined;
}

function salvageMapping(schema: z.ZodObject | z.ZodUnion, value: Readonly<Record<string, unknown>>): unknown {
  const keys = schema instanceof z.ZodObject ? Object.keys(schema.shape) : keysOfUnion(schema, value);
  const entries = keys.map((key) => {
    const child = childSchema(schema, key);
    return [key, child === undefined ? undefined : salvage(child, value[key])] as const;
  });
  return Object.fromEntries(entries);
}

function keysOfUnion(union: z.ZodUnion, value: Readonly<Record<string, unknown>>): readonly string[] {
  const section = union.options.find((option) => option instanceof z.ZodObject);
  return section instanceof z.ZodObject ? Object.keys(section.shape) : Object.keys(value);
}
