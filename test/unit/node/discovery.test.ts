import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/index.ts';
import type { ServerConfig, ServiceConfig } from '../../../src/config/index.ts';
import { Discovery } from '../../../src/node/discovery.ts';
import { EventLog } from '../../../src/node/events.ts';
import type { Answer } from '../../../src/proxy/index.ts';
import type { DnsQuestion } from '../../../src/proxy/io/index.ts';
import { ManualClock, silentLogger } from '../../../src/runtime/index.ts';
import { pairWith } from '../config/fixtures.ts';

const s1 = "- {name: s1, address: '10.9.0.21:8080'}";
const app = '- {name: app, resolve: app.test, port: 8080, weight: 3}';
const found = (...lasts: readonly number[]): Answer => ({
  kind: 'found',
  found: lasts.map((last) => ({ address: `10.9.0.${last}`, port: 8080, weight: undefined })),
  ttlMs: 5_000,
});

describe('the servers of a DNS name', () => {
  it('are there when the first answer is, with their names and what the file says of all', async () => {
    const node = await setup(found(31, 32));
    expect(node.servers()).toEqual(['app-10.9.0.31 10.9.0.31:8080 x3', 'app-10.9.0.32 10.9.0.32:8080 x3']);
    expect(node.questions).toEqual([{ kind: 'address', host: 'app.test', port: 8080, family: 4 }]);
    expect(node.changes).toBe(0);
  });

  it('are named by the port as well where records say it, with their weights', async () => {
    const answer: Answer = { kind: 'found', found: [{ address: '10.9.0.31', port: 81, weight: 7 }], ttlMs: 5_000 };
    const node = await setup(answer, '- {name: app, srv: _a._tcp.test}');
    expect(node.servers()).toEqual(['app-10.9.0.31:81 10.9.0.31:81 x7']);
  });

  it('are others when the answer is, after its time to live, which is an event', async () => {
    const node = await setup(found(31, 32));
    node.answer = found(32, 33);
    await node.advance(4_999);
    expect([node.questions.length, node.changes]).toEqual([1, 0]);
    await node.advance(1);
    expect(node.servers().map((server) => server.split(' ')[0])).toEqual(['app-10.9.0.32', 'app-10.9.0.33']);
    await node.advance(5_000);
    expect([node.questions.length, node.changes]).toEqual([3, 1]);
    expect(node.messages()).toEqual([
      'web: app: + 10.9.0.31:8080, + 10.9.0.32:8080',
      'web: app: + 10.9.0.33:8080, - 10.9.0.31:8080',
    ]);
  });

  it('stay through trouble, which is told once, counted and shown', async () => {
    const node = await setup(found(31));
    node.answer = { kind: 'failed', reason: 'ESERVFAIL' };
    for (let round = 0; round < 5; round++) await node.advance(30_000);
    expect(node.servers()).toHaveLength(1);
    expect(node.discovery.status('web')).toMatchObject([
      { name: 'app', asks: 'app.test', servers: 1, failures: node.questions.length - 1, trouble: 'ESERVFAIL' },
    ]);
    node.answer = found(31);
    await node.advance(30_000);
    expect(node.messages().slice(1)).toEqual([
      'web: app.test is not found (ESERVFAIL)',
      'web: app.test is found again',
    ]);
    expect(node.changes).toBe(0);
  });

  it('go when the name has had none for longer than they are held', async () => {
    const node = await setup(found(31));
    node.answer = { kind: 'empty', reason: 'ENOTFOUND' };
    await node.advance(5_000);
    await node.advance(29_999);
    expect([node.servers().length, node.changes]).toEqual([1, 0]);
    await node.advance(1);
    expect([node.servers().length, node.changes]).toEqual([0, 1]);
  });

  it('are not waited for without end at the start', async () => {
    const node = create();
    let isDone = false;
    const started = node.configure(app).then(() => (isDone = true));
    await node.advance(1_999);
    expect(isDone).toBe(false);
    await node.advance(1);
    await started;
    node.release(found(31));
    await node.advance(0);
    expect([node.servers().length, node.changes]).toEqual([1, 1]);
  });

  it('keep what is known in a reload, unless the question is another, and end with their name', async () => {
    const node = await setup(found(31));
    await node.configure(app.replace('weight: 3', 'weight: 5, hold: 1s'));
    expect([node.servers(), node.questions.length]).toEqual([['app-10.9.0.31 10.9.0.31:8080 x5'], 1]);
    node.answer = found(41);
    await node.configure(app.replace('app.test', 'other.test'));
    expect(node.servers()).toEqual(['app-10.9.0.41 10.9.0.41:8080 x3']);
    await node.configure(s1);
    await node.advance(60_000);
    expect([node.servers(), node.questions.length]).toEqual([[], 2]);
  });
});

describe('a reload that does not come about', () => {
  it('leaves the names as they were, and what is known of them', async () => {
    const node = await setup(found(31));
    node.answer = found(41);
    const [before, next] = [serviceWith(app), serviceWith(app.replace('app.test', 'other.test'))];
    await node.discovery.learn([next]);
    expect(node.discovery.of(next).map(({ name }) => name)).toEqual(['app-10.9.0.41']);
    expect(node.servers()).toEqual(['app-10.9.0.31 10.9.0.31:8080 x3']);
    node.discovery.retain([before]);
    await node.discovery.learn([before]);
    expect([node.servers().length, node.discovery.of(next), node.questions.length]).toEqual([1, [], 2]);
  });
});

async function setup(answer: Answer, server = app) {
  const node = create(answer);
  await node.configure(server);
  node.changes = 0;
  return node;
}

function create(answer?: Answer) {
  const clock = new ManualClock();
  const events = new EventLog(() => 0);
  const questions: DnsQuestion[] = [];
  const later = Promise.withResolvers<Answer>();
  const now: { answer: Answer | undefined; changes: number } = { answer, changes: 0 };
  const ask = (question: DnsQuestion): Promise<Answer> => {
    questions.push(question);
    return now.answer === undefined ? later.promise : Promise.resolve(now.answer);
  };
  const onChanged = (): void => {
    now.changes++;
  };
  const discovery = new Discovery(ask, { clock, events, logger: silentLogger, onChanged });
  const nameOf = ({ name, address: { address, port }, weight }: ServerConfig): string =>
    `${name} ${address}:${port} x${weight}`;
  let service = serviceWith(answer === undefined ? app : s1);
  return Object.assign(now, {
    discovery,
    questions,
    release: (first: Answer): void => later.resolve(first),
    servers: (): readonly string[] => discovery.of(service).map(nameOf),
    /** As a reload does that comes about. */
    async configure(server: string): Promise<void> {
      const next = serviceWith(server);
      await discovery.learn([next]);
      discovery.retain([next]);
      service = next;
    },
    messages: (): readonly string[] => events.after(0).map(({ message }) => message),
    async advance(ms: number): Promise<void> {
      clock.advance(ms);
      for (let round = 0; round < 10; round++) await Promise.resolve();
    },
  });
}

function serviceWith(server: string): ServiceConfig {
  const parsed = parseConfig(pairWith([s1, server]), 'f');
  const service = parsed.ok ? parsed.value.services[0] : undefined;
  if (service === undefined) throw new Error(parsed.ok ? 'no service' : JSON.stringify(parsed.reason));
  return service;
}
