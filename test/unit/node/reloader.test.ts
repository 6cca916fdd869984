import { describe, expect, it } from 'vitest';
import { fail, ok } from '../../../src/base/index.ts';
import { parseConfig } from '../../../src/config/index.ts';
import type { Config } from '../../../src/config/index.ts';
import { EventLog } from '../../../src/node/events.ts';
import { Reloader } from '../../../src/node/reloader.ts';
import type { Loaded } from '../../../src/node/reloader.ts';
import type { RouterState } from '../../../src/node/status-document.ts';
import { OperatorError, createCallbackLogger } from '../../../src/runtime/index.ts';
import { pair, pairWith } from '../config/fixtures.ts';

const leastconn = pairWith(['    servers:', '    balance: leastconn\n    servers:']);
const notify = { path: undefined, isDryRun: false };

describe('Reloader', () => {
  it('applies what has changed, and tells of it', async () => {
    const node = setup(leastconn);
    const report = await node.reloader.reload(notify);
    expect(report.outcome).toBe('applied');
    expect(report.changes.map(({ text }) => text)).toEqual(['services.web.balance: roundrobin -> leastconn']);
    expect(node.applied).toEqual([leastconn]);
    expect(node.told).toEqual(['info reloaded: services.web.balance: roundrobin -> leastconn']);
  });

  it('does nothing where nothing has changed, and says nothing', async () => {
    const node = setup(`${pair}# a comment\n`);
    expect((await node.reloader.reload(notify)).outcome).toBe('unchanged');
    expect([node.applied, node.told]).toEqual([[], []]);
  });

  it('only looks at a dry run, also at another file', async () => {
    const node = setup('nonsense');
    node.files.set('/other', leastconn);
    const report = await node.reloader.reload({ path: '/other', isDryRun: true });
    expect([report.outcome, report.changes.length, node.applied, node.told]).toEqual(['dry-run', 1, [], []]);
  });

  it('hands back every problem of a file, and applies nothing of it', async () => {
    const node = setup(pairWith(['vrid: 51', 'vrid: 300'], ['listen:', 'listn:']));
    const report = await node.reloader.reload(notify);
    expect(report).toMatchObject({ outcome: 'invalid', changes: [] });
    expect(report.problems.map(({ path }) => path)).toEqual(['virtualRouters[0].vrid', 'services[0].listn']);
    expect([node.applied, node.told]).toEqual([[], ['warn /file has 2 problems: nothing is reloaded']]);
  });

  it('refuses all of it for one thing that a running node cannot change, and names it', async () => {
    const node = setup(leastconn.replace('services:', 'proxy: {workers: 7}\nservices:'));
    await expect(node.reloader.reload(notify)).rejects.toMatchObject({
      code: 'RESTART_NEEDED',
      message: 'proxy.workers cannot change while the node runs; nothing is reloaded',
    });
    expect(node.applied).toEqual([]);
  });

  it.each<[RouterState, boolean]>([
    ['active', false],
    ['backup', true],
    ['initialize', true],
  ])('makes a virtual router anew where it is %s: %s', async (state, isApplied) => {
    const node = setup(pairWith(['vrid: 51', 'vrid: 52']), { state });
    const outcome = await node.reloader.reload(notify).catch((error: unknown) => error);
    if (isApplied) expect(outcome).toMatchObject({ outcome: 'applied' });
    else
      expect(outcome).toMatchObject({
        code: 'ROUTER_ACTIVE',
        mend: expect.stringMatching(/^reload lb2 first/) as string,
      });
    expect(node.applied).toHaveLength(isApplied ? 1 : 0);
  });

  it('tells why it was not applied, in its own words and in an event', async () => {
    const node = setup(leastconn, { refusal: new OperatorError('LISTEN', 'cannot listen', 'stop the other') });
    await expect(node.reloader.reload(notify)).rejects.toMatchObject({ code: 'LISTEN' });
    expect(node.told).toEqual(['warn not reloaded: cannot listen (everything is as it was before); stop the other']);
  });

  it('does not say that all is as before where it is not', async () => {
    const node = setup(leastconn, { refusal: new OperatorError('NOT_PUT_BACK', 'half done', 'restart') });
    await expect(node.reloader.reload(notify)).rejects.toMatchObject({ message: 'half done' });
  });

  it('takes other sync keys in a file of the same name, and tells none of them', async () => {
    const node = setup(pair);
    node.keys.sync = new Uint8Array(32).fill(0x5a);
    const report = await node.reloader.reload(notify);
    expect(report).toMatchObject({ outcome: 'applied', changes: [{ path: 'sync.keyFile', kind: 'changed' }] });
    expect(JSON.stringify([report, node.told])).not.toMatch(/90,90|5a5a|ZZ/);
  });

  it('applies one after the other, each against what the one before left', async () => {
    const node = setup(leastconn);
    const [first, second] = await Promise.all([node.reloader.reload(notify), node.reloader.reload(notify)]);
    expect([first.outcome, second.outcome, node.applied.length]).toEqual(['applied', 'unchanged', 1]);
  });

  it('goes on after a refusal', async () => {
    const node = setup('nodes: 7', {});
    await node.reloader.reload(notify);
    node.files.set('/file', leastconn);
    expect((await node.reloader.reload(notify)).outcome).toBe('applied');
  });
});

function setup(text: string, { state, refusal }: { state?: RouterState; refusal?: OperatorError } = {}) {
  const files = new Map([['/file', text]]);
  const keys = { sync: new Uint8Array([1]) };
  const applied: string[] = [];
  const told: string[] = [];
  const events = new EventLog(() => 0);
  const load = (config: Config): Loaded => ({ config, syncKeys: [keys.sync], hmacKeys: new Map() });
  let current = load(parse(pair));
  const [self, peer] = current.config.nodes;
  if (self === undefined) throw new Error('the pair has nodes');
  const reloader = new Reloader(
    { path: '/file', identity: { self, peer } },
    {
      events,
      logger: createCallbackLogger((level, _fields, message) => told.push(`${level} ${message}`)),
      read: (path) => {
        const parsed = parseConfig(files.get(path) ?? '', path);
        return Promise.resolve(parsed.ok ? ok(load(parsed.value)) : fail(parsed.reason));
      },
      current: () => current,
      stateOf: () => state ?? 'backup',
      apply: async (next) => {
        await Promise.resolve();
        if (refusal !== undefined) throw refusal;
        current = next;
        applied.push(files.get('/file') ?? '');
      },
    },
  );
  return { reloader, files, keys, applied, told };
}

function parse(text: string): Config {
  const parsed = parseConfig(text, 'f');
  if (!parsed.ok) throw new Error('the pair is right');
  return parsed.value;
}
