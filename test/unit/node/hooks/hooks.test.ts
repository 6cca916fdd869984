import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../../src/node/events.ts';
import { Hooks } from '../../../../src/node/hooks/hooks.ts';
import { silentLogger, systemClock } from '../../../../src/runtime/index.ts';

const shell = (script: string): readonly string[] => ['/bin/sh', '-c', script];
const change = { cause: 'active-silent', epoch: 7 };

describe('Hooks', () => {
  it('tell all that there is to tell', async () => {
    const { hooks, messages } = setup({
      onActive: shell('env | grep ^TANDEM_ | grep -v TEST_ | sort | sed s/TANDEM_// | tr "\\n" " "; exit 1'),
    });
    hooks.onChange('web', { ...change, to: 'active' });
    await hooks.stop();
    expect(messages()).toEqual([
      'web: onActive failed: exit code 1: ' +
        'ADDRESSES=10.0.0.9/24 10.0.0.10/32 CAUSE=active-silent EPOCH=7 GENERATION=1 ' +
        'INTERFACE=eth0 NODE=lb1 PREVIOUS_STATE=initialize ROUTER=web STATE=active',
    ]);
  });

  it('are waited for at the end, those in the queue included', async () => {
    const { hooks, messages } = setup({ onActive: shell('sleep 0.1'), onBackup: shell('exit 2') });
    hooks.onChange('web', { ...change, to: 'active' });
    hooks.onChange('web', { ...change, to: 'backup' });
    expect(hooks.status('web')).toEqual({ state: 'active', generation: 1, outcome: 'running' });
    await hooks.stop();
    expect(messages()[1]).toBe('web: onBackup failed: exit code 2');
    expect(hooks.status('web')).toEqual({ state: 'backup', generation: 2, outcome: 'exit code 2' });
  });

  it('are killed when their time is over, which is said with their last line', async () => {
    const { hooks, messages } = setup({ onFault: shell('echo trying; sleep 60'), onBackup: shell('true') });
    hooks.onChange('web', { ...change, to: 'backup' });
    hooks.onChange('web', { ...change, to: 'initialize' });
    await hooks.stop();
    expect(messages()[1]).toMatch(/^web: onFault failed: killed after \d+ ms, its time-out: trying$/);
  });

  it('are not run for a state that is there already', async () => {
    const { hooks, messages } = setup({ onFault: shell('true') });
    hooks.onChange('web', { ...change, to: 'initialize' });
    await hooks.stop();
    expect(messages()).toEqual([]);
  });
});

function setup(own: { onActive?: readonly string[]; onBackup?: readonly string[]; onFault?: readonly string[] }) {
  const events = new EventLog(() => 0);
  const none = { onActive: undefined, onBackup: undefined, onFault: undefined };
  const addresses = [
    { address: '10.0.0.9', prefixLength: 24 },
    { address: '10.0.0.10', prefixLength: 32 },
  ];
  const web = { name: 'web', interface: 'eth0', addresses, hooks: { ...none, ...own, timeoutMs: 1_000 } };
  const hooks = new Hooks({ node: 'lb1', routers: [web] }, { clock: systemClock, logger: silentLogger, events });
  return { hooks, messages: () => events.after(0).map(({ message }) => message.replace(/ +$/, '')) };
}
