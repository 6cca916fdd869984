import * as z from 'zod';
import { fileSchema } from './schema.ts';

/** The JSON Schema (draft 7, which every editor knows) of the file as it is written, defaults and meanings included. */
export function jsonSchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...rest } = z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7' });
  return { $schema, title: 'Tandem configuration', ...rest };
}

/** The same as the text of a file. */
export function jsonSchemaText(): string {
  return `${JSON.stringify(jsonSchema(), undefined, 2)}\n`;
}
