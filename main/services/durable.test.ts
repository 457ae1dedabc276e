// SPDX-License-Identifier: GPL-2.0-only
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { HostError } from '../../engine/base/index.ts';
import { fileError, isAlive, makeFolder, readJson, thisProcess, writeJson } from './durable.ts';
import { pathsOf } from './paths.ts';
import { bytesInWords, secondsInWords } from './words.ts';

const folder = mkdtempSync(join(tmpdir(), 'diolab-durable-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('paths', () => {
  it('follow the XDG rules: unset, empty and relative values mean the default', () => {
    const home = homedir();
    for (const env of [{}, { XDG_DATA_HOME: '' }, { XDG_DATA_HOME: 'relative' }]) {
      expect(pathsOf(env).data).toBe(join(home, '.local/share/diolab'));
    }
    const paths = pathsOf({
      XDG_DATA_HOME: '/d',
      XDG_STATE_HOME: '/s',
      XDG_CACHE_HOME: '/c',
      XDG_CONFIG_HOME: '/o',
    });
    expect(paths).toMatchObject({
      data: '/d/diolab',
      runs: '/d/diolab/runs',
      state: '/s/diolab',
      cache: '/c/diolab',
      config: '/o/diolab',
    });
  });

  it('can all lie under one folder, which must be absolute', () => {
    const paths = pathsOf({ DIOLAB_DATA: '/one', XDG_DATA_HOME: '/d' });
    expect(Object.values(paths).every((path: string) => path.startsWith('/one'))).toBe(true);
    expect(() => pathsOf({ DIOLAB_DATA: 'here' })).toThrow(HostError);
  });
});

describe('files that last', () => {
  it('are replaced whole, and leave nothing else behind', async () => {
    const path = join(folder, 'deep/er/file.json');
    await makeFolder(join(folder, 'deep/er'));
    await writeJson(path, { a: 1 });
    await writeJson(path, { a: 2 });
    expect(await readJson(path)).toEqual({ a: 2 });
    expect(readdirSync(join(folder, 'deep/er'))).toEqual(['file.json']);
    expect(await readJson(join(folder, 'none.json'))).toBeNull();
  });

  it('say what is wrong with them', async () => {
    writeFileSync(join(folder, 'damaged.json'), '{"half":');
    await expect(readJson(join(folder, 'damaged.json'))).rejects.toMatchObject({
      code: 'store.damaged',
      exitCode: 65,
    });
    await expect(writeJson('/proc/nothing.json', 1)).rejects.toMatchObject({
      code: 'host.not-found',
    });
    await expect(makeFolder('/proc/nothing')).rejects.toBeInstanceOf(HostError);
    const plain = new Error('no file error');
    expect(fileError(plain, 'x', 'y')).toBe(plain);
    const full = Object.assign(new Error('x'), { code: 'ENOSPC' });
    expect(fileError(full, 'make the image', '/i')).toMatchObject({
      code: 'host.no-space',
      message: 'Cannot make the image: no space is left (ENOSPC)',
      where: '/i',
      exitCode: 73,
      data: { errno: 'ENOSPC' },
    });
  });
});

describe('owners', () => {
  it('live as long as their process, and a reused id is another one', async () => {
    const me = thisProcess();
    expect(isAlive(me)).toBe(true);
    expect(isAlive({ ...me, startTicks: me.startTicks - 1 })).toBe(false);
    expect(isAlive({ ...me, bootId: 'an older boot' })).toBe(false);
    const child = spawn('sleep', ['100'], { stdio: 'ignore' });
    const pid = child.pid ?? 0;
    expect(isAlive({ ...me, pid })).toBe(false); // its start is not ours
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(isAlive({ ...me, pid })).toBe(false);
  });
});

describe('quantities in words', () => {
  it.each([
    [0, '0 B'], [512, '512 B'], [4096, '4 KiB'], [1536 * 1024, '1.5 MiB'], [2 ** 30, '1 GiB'], [2 ** 46, '65536 GiB'],
  ])('%i bytes', (bytes, words) => {
    expect(bytesInWords(bytes)).toBe(words);
  }); // prettier-ignore
  it.each([
    [0.04, 'less than 0.1 s'], [1.26, '1.3 s'], [42.4, '42 s'], [60, '1 min'], [125, '2 min 5 s'], [3600, '1 h'], [12_000, '3 h 20 min'],
  ])('%d seconds', (seconds, words) => {
    expect(secondsInWords(seconds)).toBe(words);
  }); // prettier-ignore
});
