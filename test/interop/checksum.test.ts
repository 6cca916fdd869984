/**
 * The two readings of VRRPv3's checksum over IPv4. keepalived 2.2 knows the one with a pseudo-header alone
 * (`v3_checksum_as_v2` came with a later version), and routers of other makes send the other one. So the switch
 * rewrites the checksum of a real keepalived's adverts, and what Tandem sends in that form is judged by the capture.
 */

import { afterEach, describe, expect, test } from 'vitest';
import { sleep } from '../lab/time.ts';
import { multicastV3 } from './flavours.ts';
import { onesComplementSum } from './frames.ts';
import type { ChecksumForm } from './frames.ts';
import { useLan } from './routers.ts';
import type { Router } from './routers.ts';

const lan = useLan();
/** Longer than anybody waits for an active router. */
const patienceMs = 12 * multicastV3.advertIntervalMs;

describe('the checksum of VRRPv3 over IPv4', () => {
  afterEach(async () => {
    const ruleset = 'table bridge interop {}\ndelete table bridge interop';
    expect(await lan.lab.switch('lan').exec(['nft', '-f', '-'], { input: ruleset })).toMatchObject({ code: 0 });
  });

  async function rewriteChecksums(router: Router, change: (messageForm: number) => number): Promise<void> {
    const message = Buffer.from(lan.advertsOf(router).at(-1)?.message ?? '', 'hex');
    message.writeUInt16BE(0, 6);
    const checksum = change(~onesComplementSum(message) & 0xffff);
    const rule = `ip saddr ${router.address} meta l4proto 112 @th,48,16 set ${checksum}`;
    const input = `table bridge interop { chain c { type filter hook prerouting priority 0; ${rule}; }; }`;
    const { code, stderr } = await lan.lab.switch('lan').exec(['nft', '-f', '-'], { input });
    expect(code, stderr).toBe(0);
  }

  /** A keepalived with the better claim, heard in a form of ours, and then a Tandem. */
  async function startBesideRewritten(change: (messageForm: number) => number): Promise<[Router, Router]> {
    const keepalived = await lan.start('keepalived', 'r1', multicastV3, { priority: 200 });
    await lan.waitForSpeaker(keepalived);
    await rewriteChecksums(keepalived, change);
    const tandem = await lan.start('tandem', 'r2', multicastV3, { priority: 100 });
    await sleep(patienceMs);
    return [keepalived, tandem];
  }

  function formsOf(router: Router): Set<ChecksumForm> {
    return new Set(lan.advertsOf(router).map(({ checksum }) => checksum));
  }

  test('over the message alone is understood, and learned for adverts of its own', async () => {
    const [keepalived, tandem] = await startBesideRewritten((checksum) => checksum);
    expect(formsOf(keepalived)).toContain('message');
    expect(lan.advertsOf(tandem)).toEqual([]);
    await lan.die(keepalived);
    await lan.waitForSpeaker(tandem);
    expect(formsOf(tandem)).toEqual(new Set(['message']));
  });

  test('over the pseudo-header, too, is learned from keepalived', async () => {
    const keepalived = await lan.start('keepalived', 'r1', multicastV3, { priority: 200 });
    const tandem = await lan.start('tandem', 'r2', multicastV3, { priority: 100 });
    await lan.waitForSpeaker(keepalived);
    await lan.die(keepalived);
    await lan.waitForSpeaker(tandem);
    expect(formsOf(tandem)).toEqual(new Set(['pseudo-header']));
  });

  test('is checked: adverts with a wrong one are not heard', async () => {
    const [keepalived, tandem] = await startBesideRewritten((checksum) => checksum ^ 1);
    expect(formsOf(keepalived)).toContain('wrong');
    expect(lan.advertsOf(tandem).length).toBeGreaterThan(0);
  });

  test.each([
    { checksum: 'messageOnly', form: 'message', isUnderstood: false },
    { checksum: 'pseudoHeader', form: 'pseudo-header', isUnderstood: true },
  ])('is sent as configured, $checksum: keepalived 2.2 understands it is $isUnderstood', async (sent) => {
    const flavour = { ...multicastV3, tandem: { checksum: sent.checksum } };
    const tandem = await lan.start('tandem', 'r1', flavour, { priority: 200 });
    await lan.waitForSpeaker(tandem);
    const keepalived = await lan.start('keepalived', 'r2', flavour, { priority: 100 });
    await sleep(patienceMs);
    expect(formsOf(tandem)).toEqual(new Set([sent.form]));
    expect(lan.advertsOf(keepalived).length === 0).toBe(sent.isUnderstood);
    const said = keepalived.keepalived?.process.lines.some(({ text }) => /Invalid VRRPv3 checksum/.test(text));
    expect(said).toBe(!sent.isUnderstood);
  });
});
