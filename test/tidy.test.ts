/**
 * The structure of the project as a test: who may import whom, what pure files may see, which calls belong to
 * src/runtime alone, and small rules of house-keeping. Each finding names its place and its mend.
 */
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const domains = ['vrrp', 'vip', 'proxy', 'forward', 'sync', 'state'];

/** main -> cli -> node -> domains -> runtime -> base, and config -> base. A folder's io/ is a layer of its own. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  main: ['cli'],
  cli: ['node', 'config', 'config/io', 'runtime', 'base'],
  node: [...domains, ...domains.map((domain) => `${domain}/io`), 'config', 'config/io', 'runtime', 'base'],
  ...Object.fromEntries(domains.map((domain) => [domain, ['base']])),
  ...Object.fromEntries(domains.map((domain) => [`${domain}/io`, [domain, 'runtime', 'base']])),
  config: ['base'],
  'config/io': ['config', 'runtime', 'base'],
  runtime: ['base'],
  base: [],
};

/** Packages without side effects, so that pure code may use them. */
const purePackages = ['zod', 'yaml', 'fastest-levenshtein', 'msgpackr'];

const bannedCalls: Readonly<Record<string, string>> = {
  'Date.now': 'clock.wallMs() or clock.nowMs()',
  'performance.now': 'clock.nowMs()',
  'process.hrtime': 'clock.nowMs()',
  'Math.random': 'random.next()',
  setTimeout: 'clock.after()',
  setInterval: 'clock.every()',
  setImmediate: 'clock.afterPoll()',
};

const lineLengthMax = 120;
const functionLinesMax = 70;

type Finding = string;

type SourceFile = {
  readonly path: string;
  /** The folder that stands in `mayImport`: "vrrp", "vrrp/io", "main" … */
  readonly layer: string;
  readonly isPure: boolean;
  readonly text: string;
  readonly tree: ts.SourceFile;
};

describe('tidy', () => {
  const tracked = trackedFiles();
  const sources = tracked.filter((path) => /^src\/.*\.ts$/.test(path)).map(readSource);

  it('imports follow the layers, and only index.ts across folders', () => {
    expect(sources.flatMap(checkImports)).toEqual([]);
  });

  it('pure files import no Node module and no package with side effects', () => {
    expect(sources.filter((source) => source.isPure).flatMap(checkPurity)).toEqual([]);
  });

  it('clock, randomness and timers are called in src/runtime only', () => {
    expect(sources.filter((source) => source.layer !== 'runtime').flatMap(checkCalls)).toEqual([]);
  });

  it('functions stay readable', () => {
    expect(sources.flatMap(checkFunctions)).toEqual([]);
  });

  it('exports have names', () => {
    expect(sources.filter((source) => /^export default/m.test(source.text)).map(({ path }) => path)).toEqual([]);
  });

  it('every source file is used', () => {
    expect(unreachable(sources)).toEqual([]);
  });

  it('text files keep to the house rules', () => {
    expect(tracked.filter((path) => !path.endsWith('package-lock.json')).flatMap(checkText)).toEqual([]);
  });
});

describe('tidy itself', () => {
  const example = (path: string, text: string): SourceFile => parseSource(path, text);

  it('finds an import in the wrong direction', () => {
    expect(checkImports(example('src/vrrp/x.ts', "import { a } from '../vip/index.ts';"))).toHaveLength(1);
    expect(checkImports(example('src/base/x.ts', "import { a } from '../runtime/index.ts';"))).toHaveLength(1);
    expect(checkImports(example('src/vrrp/x.ts', "import { a } from '../base/index.ts';"))).toEqual([]);
  });

  it('finds an import that goes past an index.ts', () => {
    expect(checkImports(example('src/node/x.ts', "import { a } from '../vip/plan.ts';"))).toHaveLength(1);
    expect(checkImports(example('src/vip/io/x.ts', "import { a } from '../plan.ts';"))).toHaveLength(1);
    expect(checkImports(example('src/vip/io/x.ts', "import { a } from '../index.ts';"))).toEqual([]);
  });

  it('finds Node in a pure file', () => {
    expect(checkPurity(example('src/vip/x.ts', "import { a } from 'node:net';"))).toHaveLength(1);
  });

  it('finds banned calls, but not their names in comments', () => {
    expect(
      checkCalls(example('src/node/x.ts', 'const t = Date.now() + Math.random(); setTimeout(f, 1);')),
    ).toHaveLength(3);
    expect(checkCalls(example('src/node/x.ts', '// Date.now()\nconst a = clock.nowMs();'))).toEqual([]);
  });

  it('finds a function that has grown out of its file', () => {
    const long = `function f() {\n${'  g();\n'.repeat(functionLinesMax)}}`;
    expect(checkFunctions(example('src/node/x.ts', long))).toHaveLength(1);
  });
});

function trackedFiles(): string[] {
  const list = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root });
  return [...new Set(list.toString().split('\n'))].filter((path) => path !== '' && exists(path));
}

function exists(path: string): boolean {
  return ts.sys.fileExists(join(root, path));
}

function readSource(path: string): SourceFile {
  return parseSource(path, readFileSync(join(root, path), 'utf8'));
}

function parseSource(path: string, text: string): SourceFile {
  const [, folder = '', sub = ''] = path.split('/');
  const layer = folder.endsWith('.ts') ? 'main' : sub === 'io' ? `${folder}/io` : folder;
  const isPure = layer === 'base' || layer === 'config' || domains.includes(layer);
  return { path, layer, isPure, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) };
}

function importsOf(source: SourceFile): { specifier: string; place: string }[] {
  const imports: { specifier: string; place: string }[] = [];
  visit(source.tree, (node) => {
    const target =
      ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
        ? node.moduleSpecifier
        : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
          ? node.arguments[0]
          : undefined;
    if (target !== undefined && ts.isStringLiteral(target)) {
      imports.push({ specifier: target.text, place: placeOf(source, node) });
    }
  });
  return imports;
}

function checkImports(source: SourceFile): Finding[] {
  return importsOf(source).flatMap(({ specifier, place }) => {
    if (!specifier.startsWith('.')) return [];
    const target = relative(root, join(root, dirname(source.path), specifier));
    const { layer } = parseSource(target, '');
    if (layer === source.layer) return [];
    if (!(mayImport[source.layer] ?? []).includes(layer)) return [`${place}: ${source.layer} must not import ${layer}`];
    if (!target.endsWith('/index.ts')) return [`${place}: import ${layer}/index.ts, not ${target}`];
    return [];
  });
}

function checkPurity(source: SourceFile): Finding[] {
  return importsOf(source)
    .filter(({ specifier }) => !specifier.startsWith('.') && !purePackages.includes(specifier))
    .map(({ specifier, place }) => `${place}: a pure file imports ${specifier}; move what needs it into io/`);
}

function checkCalls(source: SourceFile): Finding[] {
  const findings: Finding[] = [];
  visit(source.tree, (node) => {
    if (!ts.isCallExpression(node)) return;
    const instead = bannedCalls[node.expression.getText()];
    if (instead !== undefined) findings.push(`${placeOf(source, node)}: ${node.expression.getText()}; use ${instead}`);
  });
  return findings;
}

function checkFunctions(source: SourceFile): Finding[] {
  const findings: Finding[] = [];
  visit(source.tree, (node) => {
    if (!ts.isFunctionLike(node)) return;
    const start = source.tree.getLineAndCharacterOfPosition(node.getStart()).line;
    const lines = source.tree.getLineAndCharacterOfPosition(node.end).line - start + 1;
    if (lines > functionLinesMax) findings.push(`${placeOf(source, node)}: a function of ${lines} lines`);
  });
  return findings;
}

function unreachable(sources: readonly SourceFile[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  // Processes of their own start at an entry that nobody imports; its file name is what node/ passes to fork().
  const entries = sources.filter(({ path }) => path === 'src/main.ts' || /-process\.ts$/.test(path));
  const seen = new Set<string>();
  const queue = [...entries];
  for (let source = queue.pop(); source !== undefined; source = queue.pop()) {
    if (seen.has(source.path)) continue;
    seen.add(source.path);
    for (const { specifier } of importsOf(source)) {
      const target = byPath.get(join(dirname(source.path), specifier));
      if (target !== undefined) queue.push(target);
    }
  }
  return sources.filter(({ path }) => !seen.has(path)).map(({ path }) => `${path}: nothing imports it; delete it`);
}

function checkText(path: string): Finding[] {
  const text = readFileSync(join(root, path), 'utf8');
  const isCode = /\.(ts|c|h|sh|js)$/.test(path);
  return text.split('\n').flatMap((line, index) => {
    const findings: string[] = [];
    if (isCode && line.length > lineLengthMax) findings.push(`${line.length} columns; at most ${lineLengthMax}`);
    if (path !== 'test/tidy.test.ts') {
      if (isCode && /\b(FIXME|TODO|XXX|HACK)\b/.test(line)) findings.push('a note to self; do it or drop it');
      if (/(^|[\s"'(])\/(work|root|home)\//.test(line)) findings.push('a path of one machine');
      if (/\bregistry\.[a-z]+\.(org|com)\b/.test(line)) findings.push('a registry host');
    }
    if (/\s$/.test(line) && !path.endsWith('.md') && !path.endsWith('.txt')) findings.push('white space at the end');
    return findings.map((finding) => `${path}:${index + 1}: ${finding}`);
  });
}

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  ts.forEachChild(node, (child) => visit(child, see));
}

function placeOf(source: SourceFile, node: ts.Node): string {
  return `${source.path}:${source.tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}
