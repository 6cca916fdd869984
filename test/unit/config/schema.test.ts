import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { assert } from '../../../src/base/index.ts';
import { jsonSchema, jsonSchemaText } from '../../../src/config/index.ts';
import { fileSchema } from '../../../src/config/schema.ts';
import { hintOf, schemaAt } from '../../../src/config/schema-walk.ts';

type JsonNode = {
  readonly description?: string;
  readonly default?: unknown;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, JsonNode>>;
  readonly items?: JsonNode;
  readonly anyOf?: readonly JsonNode[];
};

function read(path: string): string {
  return readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
}

/** Every key of the schema with its path: "services[].check.inter". */
function keysOf(node: JsonNode, path = ''): readonly (readonly [path: string, node: JsonNode])[] {
  const own = Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const childPath = path === '' ? key : `${path}.${key}`;
    return [[childPath, child] as const, ...keysOf(child, childPath)];
  });
  const items = node.items === undefined ? [] : keysOf(node.items, `${path}[]`);
  return [...own, ...items, ...(node.anyOf ?? []).flatMap((option) => keysOf(option, path))];
}

const keys = keysOf(jsonSchema());

describe('the JSON Schema', () => {
  test('in deploy/ is the one of this code', () => {
    const isCurrent = read('deploy/tandem.schema.json') === jsonSchemaText();
    expect(isCurrent, 'deploy/tandem.schema.json is out of date; npm run -s schema').toBe(true);
  });

  test('knows all the keys', () => {
    expect(keys.map(([path]) => path)).toEqual(
      expect.arrayContaining([
        'nodes[].syncAddress',
        'services[].check.inter',
        'services[].servers[].weight',
        'log.level',
      ]),
    );
    expect(keys.length).toBeGreaterThan(70);
  });

  test.each(keys)('%s says what it means', (_path, node) => {
    expect(node.description).toMatch(/^[A-Z].*\.$/);
  });

  test('shows defaults as they are written in the file', () => {
    const defaults = Object.fromEntries(keys.map(([path, node]) => [path, node.default]));
    expect(defaults).toMatchObject({
      'sync.heartbeat': '250ms',
      'virtualRouters[].advertInterval': '100ms',
      'services[].timeouts.client': '1h',
      'services[].balance': 'roundrobin',
      'proxy.workers': 'auto',
    });
  });
});

describe('every value', () => {
  test.each(keys)('%s has an example that is right', (path) => {
    const steps = path.replaceAll('[]', '.0').split('.');
    const schema = schemaAt(fileSchema, steps);
    assert(schema !== undefined, `there is a schema for ${path}`);
    const example: unknown = parse(hintOf(schema)?.example ?? '');
    expect(z.safeParse(schema, example)).toMatchObject({ success: true });
    expect(example).not.toBeNull();
  });
});

describe('docs/configuration.md', () => {
  const text = read('docs/configuration.md');

  test('explains no key that is not there', () => {
    const explained = [...text.matchAll(/^\| `([a-zA-Z]+(?:\[\]|\.[a-zA-Z0-9]+)*)` \|/gm)].map((match) => match[1]);
    expect(explained).toEqual(keys.map(([path]) => path));
  });

  test.each(keys)('explains %s', (path) => {
    expect(text).toContain(`\`${path}\``);
  });

  test.each(keys.filter(([, node]) => typeof node.default !== 'object' && node.default !== undefined))(
    'names the default of %s',
    (path, node) => {
      const row = text.split('\n').find((line) => line.includes(`\`${path}\``)) ?? '';
      expect(row).toContain(`\`${String(node.default)}\``);
    },
  );
});
