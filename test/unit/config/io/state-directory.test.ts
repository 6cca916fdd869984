import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { formatProblem } from '../../../../src/config/index.ts';
import type { Config, Problem } from '../../../../src/config/index.ts';
import { checkNamedFiles, stateDirectoryFlaw } from '../../../../src/config/io/index.ts';
import { pairWith, parsed } from '../fixtures.ts';

describe('the directory for state', () => {
  it('may be there, or be made', async () => {
    const { directory, problemsOf } = setup();
    expect(await problemsOf(directory)).toEqual([]);
    expect(await problemsOf(join(directory, 'a/b/c'))).toEqual([]);
    expect(await stateDirectoryFlaw(join(directory, 'a/b/c'))).toBeUndefined();
  });

  it('is a mistake at its place in the file where a file is in its way', async () => {
    const { directory, path, problemsOf } = setup();
    const file = join(directory, 'file');
    writeFileSync(file, '');
    const wanted = join(file, 'below');
    expect(await problemsOf(wanted)).toEqual([
      `${path}:15:20: state.directory: ${wanted}: ${file} is no directory; name a directory, or one to be made`,
    ]);
    expect(await stateDirectoryFlaw(wanted)).toMatchObject({ what: `${file} is no directory` });
  });

  it('is nobody else to write to', async () => {
    const { directory } = setup();
    const open = join(directory, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    expect(await stateDirectoryFlaw(open)).toEqual({
      what: `others than its owner may write to ${open}`,
      mend: `chmod 700 ${open}`,
    });
  });

  it('is not looked at where nothing is kept', async () => {
    const config = parsed(pairWith(['services:', 'state: false\nservices:']));
    expect(config.state).toBeUndefined();
    expect(await ofState(config, '/nowhere')).toEqual([]);
  });
});

function setup() {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-config-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'tandem.yaml');
  const problemsOf = async (wanted: string): Promise<readonly string[]> => {
    const text = pairWith(['services:', `state: {directory: ${wanted}}\nservices:`]);
    writeFileSync(path, text);
    return (await ofState(parsed(text), path)).map(formatProblem);
  };
  return { directory, path, problemsOf };
}

/** The key file of the fixture is not there. */
async function ofState(config: Config, path: string): Promise<readonly Problem[]> {
  return (await checkNamedFiles(config, path)).filter((problem) => problem.path.startsWith('state'));
}
