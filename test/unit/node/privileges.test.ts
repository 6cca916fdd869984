import { describe, expect, it } from 'vitest';
import { MainPrivileges, mainCapabilities, privilegesOf } from '../../../src/node/privileges.ts';
import { createCallbackLogger, loadNative } from '../../../src/runtime/index.ts';

describe('what the processes of a node may do', () => {
  it('is told of those that run, against what each of them needs', () => {
    const processes = [
      { name: 'vrrp', pid: process.pid, restarts: 0 },
      { name: 'worker 1', pid: undefined, restarts: 1 },
      // Above the kernel's largest pid: it has just ended.
      { name: 'worker 2', pid: 2 ** 22 + 1, restarts: 0 },
    ];
    const told = privilegesOf(processes, undefined);
    expect(told.map((each) => each.process)).toEqual(['node', 'vrrp']);
    const needed = { node: ['CAP_NET_ADMIN'], vrrp: ['CAP_NET_ADMIN', 'CAP_NET_RAW'] };
    for (const { process: name, held, missing, surplus } of told) {
      const needs = needed[name as keyof typeof needed];
      expect([...missing, ...held.filter((one) => needs.includes(one))].sort()).toEqual(needs);
      expect(surplus).toEqual(held.filter((one) => !needs.includes(one)));
    }
  });

  it('is a low port for the main process only where the sync link has one', () => {
    expect(mainCapabilities(undefined)).toEqual(['CAP_NET_ADMIN']);
    expect(mainCapabilities(1_024)).toEqual(['CAP_NET_ADMIN']);
    expect(mainCapabilities(1_023)).toEqual(['CAP_NET_ADMIN', 'CAP_NET_BIND_SERVICE']);
  });

  it('is not given up without a word where the kernel refuses', async () => {
    const told: string[] = [];
    const logger = createCallbackLogger((level, fields, message) =>
      told.push(`${level} ${message} ${JSON.stringify(fields)}`),
    );
    const asked: unknown[] = [];
    const limitCapabilities = (...limit: readonly number[]): number => {
      asked.push(limit);
      return -110;
    };
    await new MainPrivileges(['CAP_NET_ADMIN'], { native: { ...loadNative(), limitCapabilities }, logger }).start();
    expect(asked).toEqual([[2 ** 12, 0]]);
    expect(told).toEqual(['warn the main process could not give up its capabilities {"outcome":"ETIMEDOUT"}']);
  });
});
