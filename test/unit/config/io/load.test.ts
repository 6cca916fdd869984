import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatProblem } from '../../../../src/config/index.ts';
import { checkNamedFiles, loadConfig, readKey, readSyncKeys } from '../../../../src/config/io/index.ts';
import { OperatorError } from '../../../../src/runtime/index.ts';
import { pair, pairWith, parsed } from '../fixtures.ts';

let directory = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tandem-config-'));
});

afterAll(() => rm(directory, { recursive: true }));

async function file(name: string, content: string | Uint8Array, mode = 0o600): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

async function lines(path: string): Promise<readonly string[]> {
  const loaded = await loadConfig(path);
  return loaded.ok ? [] : loaded.reason.map(formatProblem);
}

describe('loadConfig', () => {
  test('reads a file', async () => {
    expect(await loadConfig(await file('good.yaml', pair))).toEqual({ ok: true, value: parsed(pair) });
  });

  test('names the file in problems', async () => {
    const path = await file('bad.yaml', pairWith(['vrid: 51', 'vrid: 300']));
    expect(await lines(path)).toEqual([
      `${path}:12:11: virtualRouters[0].vrid: expected a number from 1 to 255, got 300; write e.g. 51`,
    ]);
  });

  test('says that a file is absent, and how to name it', async () => {
    const path = join(directory, 'absent.yaml');
    expect(await lines(path)).toEqual([
      `${path}:1:1: there is no such file; name it with -c FILE; deploy/examples/pair.yaml is one to start from`,
    ]);
  });

  test('says that a directory is no file', async () => {
    expect(await lines(directory)).toEqual([`${directory}:1:1: it is a directory; name a file in it`]);
  });

  test('takes 1 MiB and refuses more', async () => {
    const comment = (bytes: number): string => `${pair}#${'.'.repeat(bytes - pair.length - 1)}`;
    expect(await lines(await file('full.yaml', comment(1_048_576)))).toEqual([]);
    const path = await file('over.yaml', comment(1_048_577));
    expect(await lines(path)).toEqual([`${path}:1:1: it is larger than 1 MiB; write less`]);
  });

  test('refuses bytes that are no UTF-8', async () => {
    const path = await file('latin1.yaml', Uint8Array.of(0x23, 0xe4, 0x0a));
    expect(await lines(path)).toEqual([`${path}:1:1: it is not UTF-8 text; save it as UTF-8`]);
  });

  test('counts no column for a byte order mark', async () => {
    const path = await file('bom.yaml', `\uFEFF${pair.replace('nodes:', 'node:')}`);
    expect((await lines(path))[0]).toBe(`${path}:1:1: node: unknown key; did you mean 'nodes'?`);
  });
});

describe('the key file', () => {
  const content = '0123456789abcdef'.repeat(4);

  /** What is wrong with the key file, once as a problem of the configuration and once as readKey's refusal. */
  async function refusal(keyPath: string): Promise<string> {
    const text = pairWith(['/etc/tandem/sync.key', keyPath]);
    const configPath = await file('pair.yaml', text);
    const problems = await checkNamedFiles(parsed(text), configPath);
    const error: unknown = await readKey(keyPath).catch((caught: unknown) => caught);
    if (!(error instanceof OperatorError)) throw new Error('readKey did not refuse');
    expect(error.code).toBe('KEY_FILE');
    expect(problems.map(formatProblem)).toEqual([`${configPath}:9:12: sync.keyFile: ${error.line}`]);
    return error.line;
  }

  test('is read without the white space around the key', async () => {
    const path = await file('good.key', ` \r\n${content}\n`);
    expect(new TextDecoder().decode(await readKey(path))).toBe(content);
  });

  test('may hold any bytes', async () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, i) => 0xff - i);
    expect(await readKey(await file('binary.key', bytes))).toEqual(bytes);
  });

  test('may be behind a symbolic link', async () => {
    const path = join(directory, 'link.key');
    await symlink(await file('target.key', content), path);
    expect(await readKey(path)).toHaveLength(64);
  });

  test('has no problem when it is right, and none without sync', async () => {
    const path = await file('right.key', content);
    const config = parsed(pairWith(['/etc/tandem/sync.key', path]));
    expect(await checkNamedFiles(config, 'f')).toEqual([]);
    expect(await checkNamedFiles({ ...config, sync: undefined }, 'f')).toEqual([]);
  });

  test('of an HMAC key is looked at as well', async () => {
    const good = await file('sync-right.key', content);
    const bad = await file('hmac-short.key', 'x');
    const hmac = `    hmac: {keys: [{id: 1, keyFile: ${good}}, {id: 2, keyFile: ${bad}}], activeKey: 1}`;
    const text = pairWith(['/etc/tandem/sync.key', good], ['vrid: 51', `vrid: 51\n${hmac}`]);
    const [problem, ...others] = await checkNamedFiles(parsed(text), await file('hmac.yaml', text));
    expect(problem).toMatchObject({ line: 13, path: 'virtualRouters[0].hmac.keys[1].keyFile' });
    expect(others).toEqual([]);
  });

  describe('of the sync link', () => {
    const other = 'fedcba9876543210'.repeat(4);
    const keysIn = async (bytes: string | Uint8Array): Promise<readonly string[]> => {
      const keys = await readSyncKeys(await file('sync.key', bytes));
      return keys.map((key) => new TextDecoder('latin1').decode(key));
    };

    test('may have two keys, a line each, and blank lines', async () => {
      expect(await keysIn(`${other}\r\n\n  ${content}\n`)).toEqual([other, content]);
      expect(await keysIn(content)).toEqual([content]);
    });

    test('that is no text is one key, whatever is in it', async () => {
      const bytes = Uint8Array.from({ length: 32 }, (_, i) => (i === 15 ? 0x0a : 0x80 + i));
      expect(await keysIn(bytes)).toHaveLength(1);
    });

    test('has no more than two', async () => {
      await expect(keysIn([content, other, 'z'.repeat(32)].join('\n'))).rejects.toMatchObject({
        code: 'KEY_FILE',
        message: expect.stringMatching(/it has 3 keys, one per line, and 2 can be used$/) as string,
      });
    });

    test.each([31, 257])('has no key of %d bytes beside a good one, and says which', async (length) => {
      const path = await file('sync.key', `${content}\n${'x'.repeat(length)}\n`);
      const text = pairWith(['/etc/tandem/sync.key', path]);
      const what = `key file ${path}: its key 2 has ${length} bytes, not 32 to 256`;
      expect(await checkNamedFiles(parsed(text), await file('pair.yaml', text))).toMatchObject([{ what }]);
    });
  });

  test('that is absent is to be made', async () => {
    const path = join(directory, 'absent.key');
    const make = `make it: openssl rand -hex 32 > ${path} && chmod 600 ${path}; the same on both nodes`;
    expect(await refusal(path)).toBe(`key file ${path}: there is no such file; ${make}`);
  });

  test.each([0o640, 0o604, 0o620, 0o610])('of mode %o is not secret', async (mode) => {
    const path = await file('open.key', content, mode);
    const what = `others than its owner may use it (mode 0${mode.toString(8)})`;
    expect(await refusal(path)).toBe(`key file ${path}: ${what}; chmod 600 ${path}`);
  });

  test('needs 32 bytes', async () => {
    const path = await file('short.key', `${'x'.repeat(31)}\n`);
    expect(await refusal(path)).toMatch('has 31 bytes, too few for a key (32); make it: openssl rand -hex 32');
    expect(await readKey(await file('enough.key', `${'x'.repeat(32)}\n`))).toHaveLength(32);
  });

  test('has at most 256 bytes', async () => {
    expect(await refusal(await file('long.key', 'x'.repeat(257)))).toMatch('is longer than 256 bytes; make it:');
    expect(await readKey(await file('longest.key', `${'x'.repeat(256)}\n`))).toHaveLength(256);
  });

  test('is no directory', async () => {
    const path = join(directory, 'directory.key');
    await mkdir(path);
    expect(await refusal(path)).toMatch('is no regular file; name a regular file');
  });

  test('is no pipe, which nobody waits for', async () => {
    const path = join(directory, 'pipe.key');
    execFileSync('mkfifo', ['-m', '600', path]);
    expect(await refusal(path)).toMatch('is no regular file; name a regular file');
  });
});

describe('a CA file', () => {
  const withCa = (caFile: string, key: string): string =>
    pairWith(
      ['/etc/tandem/sync.key', key],
      ['    servers:', `    check: {type: tls, tls: {caFile: ${caFile}}}\n    servers:`],
    );

  async function problemsOf(caFile: string): Promise<readonly string[]> {
    const text = withCa(caFile, await file('ca-sync.key', '0123456789abcdef'.repeat(4)));
    const problems = await checkNamedFiles(parsed(text), await file('ca.yaml', text));
    return problems.map(({ line, path, what }) => `${line} ${path}: ${what}`);
  }

  const place = '18 services[0].check.tls.caFile: CA file';

  test('with a certificate has no problem', async () => {
    const path = join(directory, 'ca.pem');
    const options = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=ca'];
    execFileSync('openssl', ['req', ...options, '-keyout', join(directory, 'ca.key'), '-out', path]);
    expect(await problemsOf(path)).toEqual([]);
  });

  test('that is absent, a directory or no PEM is a problem where it is named', async () => {
    const absent = join(directory, 'absent.pem');
    const [der, key] = [await file('ca.der', Uint8Array.of(0x30, 0x82)), join(directory, 'broken.pem')];
    await file('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    expect(await problemsOf(absent)).toEqual([`${place} ${absent}: there is no such file`]);
    expect(await problemsOf(directory)).toEqual([`${place} ${directory}: it is a directory`]);
    expect(await problemsOf(der)).toEqual([`${place} ${der}: holds no certificate`]);
    expect(await problemsOf(key)).toEqual([`${place} ${key}: holds no certificate`]);
  });
});
