import { describe, expect, it } from 'vitest';
import { TransitionHistory } from '../../../src/node/transition-history.ts';

const started = { from: 'initialize', to: 'backup', cause: 'startup', reasons: [], epoch: 3 } as const;

describe('the last changes of state', () => {
  it('are sixteen of each virtual router, newest last, with their times', () => {
    const history = setup();
    for (let epoch = 1; epoch <= 20; epoch++) history.add('web', { ...started, epoch });
    history.add('db', started);
    expect(history.of('web').map(({ wallMs, epoch }) => [wallMs, epoch])).toEqual(
      Array.from({ length: 16 }, (_, index) => [index + 5, index + 5]),
    );
    expect(history.of('db')).toEqual([{ wallMs: 21, ...started }]);
    expect(history.of('other')).toEqual([]);
  });

  it('tell of the death of the process that elected', () => {
    const history = setup();
    history.end('web', 'process-died');
    expect(history.of('web')).toEqual([]);
    history.add('web', started);
    history.end('web', 'process-died');
    history.end('web', 'process-died');
    expect(history.of('web').slice(1)).toEqual([
      { wallMs: 2, from: 'backup', to: 'initialize', cause: 'process-died', reasons: [], epoch: 3 },
    ]);
  });
});

function setup(): TransitionHistory {
  let wallMs = 0;
  return new TransitionHistory(() => ++wallMs);
}
