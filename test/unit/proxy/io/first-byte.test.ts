import { describe, expect, it } from 'vitest';
import { nextData, server, startProxy, startServer, turn, until } from './harness.ts';

describe('leasttime', () => {
  it('prefers the server whose first byte comes sooner', async () => {
    const a = await startServer(
      'a',
      (socket) => void socket.on('data', () => slowAnswer.push(() => socket.write('a'))),
    );
    const slowAnswer: (() => void)[] = [];
    const b = await startServer('b', (socket) => void socket.on('data', () => socket.write('b')));
    const proxy = await startProxy([a, b], { service: { balance: 'leasttime' } });
    const first = proxy.connect();
    first.write('?');
    await until(() => slowAnswer.length === 1);
    proxy.clock.advance(50);
    slowAnswer.pop()?.();
    expect(await nextData(first)).toBe('a');
    const answers: string[] = [];
    for (let i = 0; i < 5; i++) {
      const client = proxy.connect();
      client.write('?');
      answers.push(await nextData(client));
    }
    expect(answers).toEqual(['b', 'b', 'b', 'b', 'b']);
  });

  it('does not count the time that a client thinks', async () => {
    const echo = (name: string) => startServer(name, (socket) => void socket.on('data', () => socket.write(name)));
    const proxy = await startProxy([await echo('a'), await echo('b')], { service: { balance: 'leasttime' } });
    const first = proxy.connect();
    await until(() => server(proxy, 'a')?.connectionsCurrent === 1);
    for (let i = 0; i < 20; i++) await turn();
    proxy.clock.advance(5_000);
    first.write('?');
    expect(await nextData(first)).toBe('a');
    first.resetAndDestroy();
    await until(() => proxy.service().connectionsCurrent === 0);
    const second = proxy.connect();
    second.write('?');
    await nextData(second);
    const third = proxy.connect();
    third.write('?');
    expect([await nextData(third)].length).toBe(1);
    expect(server(proxy, 'a')?.connectionsTotal).toBe(2);
  });
});
