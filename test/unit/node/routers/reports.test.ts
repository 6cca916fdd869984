import { describe, expect, it } from 'vitest';
import { Reports } from '../../../../src/node/routers/reports.ts';
import type { VrrpReport } from '../../../../src/node/vrrp-protocol.ts';
import { OperatorError } from '../../../../src/runtime/index.ts';

describe('the reports of the vrrp process', () => {
  it('wait for two turns of the event loop and leave in the order in which they came', () => {
    const { reports, sent, turn } = setup();
    reports.add({ type: 'epoch-claimed', router: 'a', epoch: 1 });
    turn();
    reports.add({ type: 'epoch-claimed', router: 'b', epoch: 2 });
    expect(sent).toEqual([]);
    turn();
    expect(sent).toEqual([
      { type: 'epoch-claimed', router: 'a', epoch: 1 },
      { type: 'epoch-claimed', router: 'b', epoch: 2 },
    ]);
  });

  it('wait again after that', () => {
    const { reports, sent, turn } = setup();
    reports.add({ type: 'epoch-claimed', router: 'a', epoch: 1 });
    turn();
    turn();
    reports.add({ type: 'epoch-claimed', router: 'a', epoch: 2 });
    turn();
    expect(sent).toHaveLength(1);
    turn();
    expect(sent).toHaveLength(2);
  });

  it('leave at once, and only once, when there will be no other turn', () => {
    const { reports, sent, turn } = setup();
    reports.add({ type: 'epoch-claimed', router: 'a', epoch: 1 });
    reports.flush();
    expect(sent).toHaveLength(1);
    turn();
    turn();
    expect(sent).toHaveLength(1);
  });

  it('have the error behind a trouble in its words for the operator', () => {
    const { reports, sent } = setup();
    const error = new OperatorError('NO_INTERFACE', 'there is no lan9', 'make it');
    reports.trouble('a', 'could not claim addresses', error);
    reports.trouble('a', 'the interface lan9 is gone');
    reports.flush();
    expect(sent).toEqual([
      { type: 'address-event', router: 'a', message: 'could not claim addresses', fields: { err: error.line } },
      { type: 'address-event', router: 'a', message: 'the interface lan9 is gone', fields: {} },
    ]);
  });
});

function setup() {
  const sent: VrrpReport[] = [];
  let waiting: (() => void)[] = [];
  const reports = new Reports({
    clock: {
      afterPoll: (callback) => {
        waiting.push(callback);
        return { cancel: () => undefined };
      },
    },
    send: (report) => sent.push(report),
  });
  const turn = (): void => {
    const now = waiting;
    waiting = [];
    for (const callback of now) callback();
  };
  return { reports, sent, turn };
}
