/**
 * Scripts and what they print. To record them anew: TANDEM_RERECORD=1 vitest run --project unit test/scenarios; then
 * read the difference, line by line, and keep it only if you understand what caused it.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { playScript } from './vrrp-script.ts';

const folder = join(import.meta.dirname, 'vrrp');
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));

describe('scenarios of the VRRP machine', () => {
  it.each(names)('%s goes as it is written', (name) => {
    const path = join(folder, name);
    const script = readFileSync(path, 'utf8');
    const played = playScript(script);
    if (process.env['TANDEM_RERECORD'] === '1') writeFileSync(path, played);
    else expect(played).toBe(script);
  });

  it('fail when a line differs', () => {
    const script = readFileSync(join(folder, 'election.txt'), 'utf8');
    expect(playScript(script.replace('send-advert 100', 'send-advert 101'))).toBe(script);
  });
});
