import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Config } from '../../../../src/config/index.ts';
import { checkAccessLog } from '../../../../src/node/doctor/files.ts';
import { pair, parsed } from '../../config/fixtures.ts';

it('an access log is well where it can be written or made, and doubtful where not', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-doctor-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'old.log'), '');
  const findings = async (file: string): Promise<readonly string[]> =>
    (await checkAccessLog(logging({ file }))).map(({ level, text }) => `${level} ${text.slice(directory.length)}`);
  expect(await findings(join(directory, 'old.log'))).toEqual(['ok /old.log']);
  expect(await findings(join(directory, 'new.log'))).toEqual(['ok /new.log']);
  expect(await findings(join(directory, 'absent/new.log'))).toEqual(['warn /absent/new.log: ENOENT']);
  expect(await findings(directory)).toEqual(['warn : EISDIR']);
  expect(await checkAccessLog(logging('stdout'))).toEqual([]);
  expect(await checkAccessLog(logging(undefined))).toEqual([]);
});

function logging(access: Config['log']['access']): Config {
  const config = parsed(pair);
  return { ...config, log: { ...config.log, access } };
}
