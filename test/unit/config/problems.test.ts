import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { locate, parseConfig } from '../../../src/config/index.ts';
import { pair, pairWith, problemLines } from './fixtures.ts';

type Mistake = { readonly name: string; readonly text: string; readonly line: string };

/** The blocks of mistakes.txt, which says what they look like. */
function readMistakes(): readonly Mistake[] {
  const blocks = readFileSync(new URL('mistakes.txt', import.meta.url), 'utf8').split('\n\n');
  return blocks.slice(1).map((block) => {
    const linesAfter = (sign: string): readonly string[] =>
      block.split('\n').flatMap((line) => (line.startsWith(`${sign} `) ? line.slice(2) : []));
    const removed = linesAfter('-');
    const added = `${linesAfter('+').join('\n')}\n`.replace(/^\n$/, '');
    const text = removed.length === 0 ? pair + added : pairWith([`${removed.join('\n')}\n`, added]);
    return { name: linesAfter('#').join(), text, line: linesAfter('=').join('\n') };
  });
}

describe('one mistake is one problem', () => {
  test('the pair itself has none', () => {
    expect(problemLines(pair)).toEqual([]);
  });

  test.each(readMistakes())('$name', ({ text, line }) => {
    expect(problemLines(text)).toEqual([line]);
  });

  test.each([
    [
      'a required section missing',
      '# only this\nnodes: [{name: a, address: 10.0.0.1}]\n',
      'f:2:1: virtualRouters: missing; write e.g. ' +
        'virtualRouters: [{name: web, vrid: 51, interface: eth0, addresses: [10.9.0.100/24]}]',
    ],
    [
      'no mapping at all',
      'hello\n',
      "f:1:1: expected a mapping, got 'hello'; write e.g. {nodes: [...], virtualRouters: [...]}",
    ],
    ['an empty file', '\n# nothing\n', 'f:1:1: the file says nothing; start from deploy/examples/pair.yaml'],
  ])('%s', (_name, text, line) => {
    expect(problemLines(text)).toEqual([line]);
  });
});

describe('many mistakes', () => {
  test('five are five problems, each at its place, in the order of the file', () => {
    const text = pairWith(
      ['10.9.0.12\n', '10.9.0.512\n'],
      ['keyFile: /etc/tandem/sync.key', 'keyFile: /etc/tandem/sync.key\n  heartbeat: 250'],
      ['vrid: 51', 'vrid: 256'],
      ['    interface: eth0', '    interfaces: eth0'],
      ['listen: 10.9.0.100:80', 'listen: 10.9.0.101:80'],
    );
    expect(problemLines(text)).toEqual([
      "f:6:14: nodes[1].address: expected a host's IP address, got '10.9.0.512'; write e.g. 10.9.0.11",
      'f:10:14: sync.heartbeat: expected a duration from 50ms to 10s, got 250; write a unit, e.g. 250ms',
      'f:13:11: virtualRouters[0].vrid: expected a number from 1 to 255, got 256; write e.g. 51',
      "f:14:5: virtualRouters[0].interfaces: unknown key; did you mean 'interface'?",
      'f:18:13: services[0].listen: 10.9.0.101 is no virtual address; ' +
        'listen on 10.9.0.100, or add it to a virtual router',
    ]);
  });

  test('a wrong virtual address does not make the service that listens on it wrong', () => {
    expect(problemLines(pairWith(['[10.9.0.100/24]', '[10.9.0.100/33]']))).toEqual([
      "f:14:17: virtualRouters[0].addresses[0]: expected a host's IP address, with or without /length, " +
        "got '10.9.0.100/33'; write e.g. 10.9.0.100/24",
    ]);
  });

  test("a wrong node's name does not make the mappings that use it wrong", () => {
    const text = pairWith(['name: lb1', 'name: -lb1'], ['interface: eth0', 'interface: {lb1: eth0, lb2: eth1}']);
    expect(problemLines(text)).toEqual([expect.stringMatching(/^f:2:11: nodes\[0\].name: expected a name /)]);
  });

  test('a wrong section is not also missing', () => {
    expect(problemLines(pairWith(['sync:\n  keyFile: /etc/tandem/sync.key', 'sync: on']))).toEqual([
      "f:8:7: sync: expected a mapping, got 'on'; write e.g. {keyFile: /etc/tandem/sync.key}",
    ]);
  });

  test('a key that is there twice leaves the rest of the file to be checked', () => {
    const text = pairWith(['    vrid: 51\n', '    vrid: 51\n    vrid: 300\n'], ['interface: eth0', 'interface: 5']);
    expect(problemLines(text)).toEqual([
      'f:13:5: map keys must be unique; keep one of them',
      'f:13:11: virtualRouters[0].vrid: expected a number from 1 to 255, got 300; write e.g. 51',
      "f:14:16: virtualRouters[0].interface: expected an interface's name of up to 15 characters, " +
        'or one for each node, got 5; write e.g. eth0',
    ]);
  });

  test('broken YAML is all that is said of a file that cannot be trusted', () => {
    const text = pairWith(['vrid: 51', 'vrid: 300: 1'], ['listen: 10.9.0.100:80', 'listen: x']);
    expect(problemLines(text)).toEqual([expect.stringMatching(/^f:12:11: nested mappings/)]);
  });

  test('a mistake behind an anchor is one, however often it is used', () => {
    const text = `${pairWith(['    servers:', '    check: &often {inter: 5}\n    servers:'])}
  - {name: b, listen: '10.9.0.100:81', check: *often, servers: [{name: s, address: '10.9.0.21:81'}]}
`;
    expect(problemLines(text)).toEqual([
      'f:18:27: services[0].check.inter: expected a duration from 10ms to 1h, got 5; write a unit, e.g. 2s',
    ]);
  });

  test('two missing keys of one mapping are two problems at one place', () => {
    expect(problemLines(pairWith(["{name: s1, address: '10.9.0.21:8080'}", '{weight: 1}']))).toEqual([
      "f:19:9: services[0].servers[0].address: missing; write e.g. address: '10.9.0.21:8080'",
      'f:19:9: services[0].servers[0].name: missing; write e.g. name: s1',
    ]);
  });

  test('a value of many lines is shown on one', () => {
    const [line] = problemLines(pairWith(['interface: eth0', 'interface: "a\\nb\\"c"']));
    expect(line).toContain(`got 'a\\nb"c';`);
  });

  test('brackets without end are a problem, not a crash', () => {
    expect(parseConfig(`a: ${'['.repeat(100_000)}`, 'f')).toMatchObject({ ok: false, reason: [{ line: 1 }] });
  });

  test('lists that contain themselves are a problem, not a crash', () => {
    expect(problemLines('nodes: &a [*a]\nvirtualRouters: []\n')[0]).toMatch(
      /^f:1:12: nodes\[0\]: expected a mapping, got a list of 1/,
    );
  });
});

test('locate finds a value in the text, and the beginning where there is none', () => {
  expect(locate(pair, ['sync', 'keyFile'])).toEqual({ line: 9, column: 12 });
  expect(locate('', ['sync', 'keyFile'])).toEqual({ line: 1, column: 1 });
});
