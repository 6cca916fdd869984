import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/index.ts';
import { Reconfiguration, settingsOf } from '../../../src/node/reconfiguration.ts';
import type { Settings } from '../../../src/node/reconfiguration.ts';
import { OperatorError, createCallbackLogger } from '../../../src/runtime/index.ts';
import { pair, pairWith } from '../config/fixtures.ts';

const before = settings(pair);
const renamed = settings(
  pairWith(['name: web\n    vrid', 'name: other\n    vrid'], ['services:', 'log: {level: debug}\nservices:']),
);

describe('a reconfiguration', () => {
  it('starts with what the world may refuse, and keeps who is to go known until it is gone', async () => {
    const node = setup();
    await node.reconfiguration.apply(renamed);
    expect(node.trace).toEqual([
      'services debug',
      'mastership.add other',
      'hooks other web',
      'trackers other',
      'vrrp other',
      'hooks other',
      'mastership.retain other',
      'mastership.tellStanding',
      'health policy other',
      'level debug',
      `peer ${renamed.hash}`,
      'peer pace 50',
    ]);
    expect(node.reconfiguration.inForce).toBe(renamed);
  });

  it('touches nothing else when the services refuse', async () => {
    const node = setup({ services: ['debug'] });
    await expect(node.reconfiguration.apply(renamed)).rejects.toMatchObject({ code: 'REFUSED' });
    expect(node.trace).toEqual(['services debug']);
    expect(node.reconfiguration.inForce).toBe(before);
  });

  it('puts everything back when the vrrp process refuses', async () => {
    const node = setup({ vrrp: ['other'] });
    await expect(node.reconfiguration.apply(renamed)).rejects.toMatchObject({ code: 'REFUSED' });
    expect(node.trace.slice(node.trace.indexOf('vrrp other') + 1)).toEqual([
      'mastership.add web',
      'hooks web other',
      'trackers web',
      'vrrp web',
      'hooks web',
      'mastership.retain web',
      'mastership.tellStanding',
      'health policy web',
      'services info',
    ]);
    expect(node.reconfiguration.inForce).toBe(before);
  });

  it('says so when what was before is refused as well', async () => {
    const node = setup({ vrrp: ['other', 'web'] });
    await expect(node.reconfiguration.apply(renamed)).rejects.toMatchObject({ code: 'NOT_PUT_BACK' });
    expect(node.trace.at(-1)).toBe('error what was before the reload could not be put back: no web');
  });
});

/** With parts that write down what they are told, and refuse some of it. */
function setup(refused: { services?: readonly string[]; vrrp?: readonly string[] } = {}) {
  const trace: string[] = [];
  const names = (routers: readonly { readonly name: string }[]): string => routers.map(({ name }) => name).join(' ');
  const tell = (what: string): void => void trace.push(what);
  const decide = async (part: 'services' | 'vrrp', what: string): Promise<void> => {
    tell(`${part} ${what}`);
    await Promise.resolve();
    if (refused[part]?.includes(what) === true) throw new OperatorError('REFUSED', `no ${what}`, 'try another');
  };
  const logger = createCallbackLogger((level, _fields, message) => tell(`${level} ${message}`));
  const reconfiguration = new Reconfiguration(before, {
    logger: {
      error: (fields, message) => logger.error(fields, message),
      setLevel: (level) => tell(`level ${level}`),
    },
    services: { reconfigure: ({ log }) => decide('services', log.level) },
    mastership: {
      add: (roles) => tell(`mastership.add ${Object.keys(roles).join(' ')}`),
      retain: (routers) => tell(`mastership.retain ${routers.join(' ')}`),
      tellStanding: () => tell('mastership.tellStanding'),
    },
    hooks: { reconfigure: (routers) => tell(`hooks ${names(routers)}`) },
    trackers: {
      reconfigure: (routers) => {
        tell(`trackers ${names(routers)}`);
        return Promise.resolve();
      },
    },
    vrrp: { reconfigure: (routers) => decide('vrrp', names(routers)) },
    healthPolicy: { reconfigure: (routers) => tell(`health policy ${names(routers)}`) },
    peer: {
      setConfigHash: (hash) => tell(`peer ${hash}`),
      setHeartbeatPace: (paceMs) => tell(`peer pace ${paceMs}`),
      setKeys: (keys) => tell(`peer keys ${keys.length}`),
    },
  });
  return { reconfiguration, trace };
}

function settings(text: string): Settings {
  const parsed = parseConfig(text, 'f');
  if (!parsed.ok) throw new Error(`the pair is right: ${JSON.stringify(parsed.reason)}`);
  const [self, peer] = parsed.value.nodes;
  if (self === undefined) throw new Error('the pair has nodes');
  return settingsOf({ config: parsed.value, syncKeys: undefined, hmacKeys: new Map() }, { self, peer });
}
