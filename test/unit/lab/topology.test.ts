import { describe, expect, test } from 'vitest';
import { faultRuleset } from '../../lab/faults.ts';
import { checkTopology, defaultTopology, hostCommands, plugCommands, switchCommands } from '../../lab/topology.ts';

const namespaceOf = { host: (host: string) => `lab-${host}`, switch: (network: string) => `lab-switch-${network}` };

describe('topology', () => {
  test('a switch has a cable to each host of its network and to no other', () => {
    const commands = switchCommands(defaultTopology, 'sync', namespaceOf);
    expect(commands).toContain('link add lb1 index 1000 type veth peer name sync0 netns lab-lb1');
    expect(commands.filter((command) => command.startsWith('link add lb'))).toHaveLength(2);
    expect(commands.some((command) => command.includes('client'))).toBe(false);
    expect(plugCommands(defaultTopology, 'sync')).toEqual(['link set lb1 up', 'link set lb2 up']);
  });

  test('IPv6 addresses are usable at once, IPv4 addresses have no such flag', () => {
    const topology = { networks: ['lan'], hosts: { a: { lan: ['192.0.2.1/24', 'fd00::1/64'] } } };
    expect(hostCommands(topology, 'a')).toEqual([
      'link set lo up',
      'addr add 192.0.2.1/24 dev lan0',
      'addr add fd00::1/64 dev lan0 nodad',
      'link set lan0 up',
    ]);
  });

  test('names that would not fit an interface are refused, and unknown networks', () => {
    expect(() => checkTopology({ networks: ['lan'], hosts: { 'a-name-much-too-long': {} } })).toThrow(/no name/);
    expect(() => checkTopology({ networks: ['lan'], hosts: { a: { wan: [] } } })).toThrow(/unknown network: wan/);
    expect(() => checkTopology(defaultTopology)).not.toThrow();
  });
});

describe('faults', () => {
  test('frames to a host leave the switch by its port, frames from it come in there', () => {
    expect(faultRuleset([{ kind: 'block', host: 'lb1', direction: 'in' }])).toContain('    oifname "lb1" drop\n');
    expect(faultRuleset([{ kind: 'block', host: 'lb1', direction: 'out', protocol: 'vrrp' }])).toContain(
      '    iifname "lb1" meta l4proto 112 drop\n',
    );
  });

  test('loss is by chance in both directions, to a hundredth of a percent', () => {
    const rules = faultRuleset([{ kind: 'loss', host: 'lb1', percent: 2.55 }]);
    expect(rules).toContain('iifname "lb1" numgen random mod 10000 < 255 drop');
    expect(rules).toContain('oifname "lb1" numgen random mod 10000 < 255 drop');
  });

  test('without faults the table is replaced by one without rules', () => {
    expect(faultRuleset([])).not.toContain('drop');
  });
});
