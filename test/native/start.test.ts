// SPDX-License-Identifier: GPL-2.0-only
/** `npm start` as a person types it: which face it picks, that it serves, and that Ctrl+C ends it cleanly. */
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { root, waitFor } from '../support/cli.ts';
import { describeUnless } from '../support/tools.ts';

/** A plain user where the tests run as root: root never gets the window. */
const PLAIN_UID = 65_534;

const isRoot = process.getuid?.() === 0;
const ancestors = root
  .split('/')
  .map((_part, at, parts) => parts.slice(0, at + 1).join('/') || '/');
const isOpen = ancestors.every((path) => (statSync(path).mode & 0o005) === 0o005);
const reason = isRoot && !isOpen ? 'this folder is closed to the plain user that root needs' : null;

describeUnless(reason, 'npm start', () => {
  let folder: string;
  beforeAll(() => {
    execFileSync(process.execPath, [join(root, 'scripts/build.mjs')]);
    folder = mkdtempSync(join(tmpdir(), 'diolab-start-'));
    mkdirSync(join(folder, 'data'));
    for (const each of [folder, join(folder, 'data')]) chmodSync(each, 0o777);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (words: string[], env: NodeJS.ProcessEnv = {}) => {
    const child = spawn(process.execPath, [join(root, 'scripts/start.mjs'), ...words], {
      cwd: folder,
      env: {
        ...process.env,
        DISPLAY: '',
        WAYLAND_DISPLAY: '',
        ELECTRON_OVERRIDE_DIST_PATH: join(folder, 'no-runtime'),
        DIOLAB_DATA: join(folder, 'data'),
        HOME: folder,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(isRoot && { uid: PLAIN_UID, gid: PLAIN_UID }),
    });
    let text = '';
    child.stdout.on('data', (data: Buffer) => (text += data.toString()));
    child.stderr.on('data', (data: Buffer) => (text += data.toString()));
    const ended = new Promise<number | null>((done) => child.on('close', done));
    return { child, ended, text: () => text };
  };
  /** A stand-in of the runtime: a script that notes its arguments and ends with `code`. */
  const makeRuntime = (name: string, code: number): string => {
    const dist = join(folder, name);
    mkdirSync(dist);
    const notes = join(folder, `${name}.txt`);
    writeFileSync(notes, '');
    chmodSync(notes, 0o666);
    const program = join(dist, 'electron');
    writeFileSync(program, `#!/bin/sh\necho "$@" > ${notes}\nexit ${String(code)}\n`);
    chmodSync(program, 0o755);
    return dist;
  };

  it('serves a browser where there is no display, says so, and ends cleanly', async () => {
    const running = start(['--no-open']);
    const [link] = await waitFor(() =>
      /http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(running.text()),
    );
    expect(running.text()).toMatch(/^diolab for a browser: there is no display/m);
    const url = new URL(link);
    const [status, policy] = await new Promise<[number | undefined, unknown]>((done, fail) => {
      request({ host: url.hostname, port: url.port, path: '/' }, (response) => {
        response.resume();
        done([response.statusCode, response.headers['content-security-policy']]);
      })
        .on('error', fail)
        .end();
    });
    expect(status).toBe(200);
    expect(policy).toContain("default-src 'none'");
    // The terminal sends it to the whole group; here the parent alone hands it on.
    running.child.kill('SIGTERM');
    expect(await running.ended).toBe(0);
  });

  it('opens the window where the runtime and a display are here', async () => {
    const dist = makeRuntime('runtime', 0);
    const running = start([], { DISPLAY: ':7', ELECTRON_OVERRIDE_DIST_PATH: dist });
    expect(await running.ended, running.text()).toBe(0);
    expect(running.text()).toMatch(/^diolab in its window: /m);
    expect(readFileSync(join(folder, 'runtime.txt'), 'utf8').trim()).toBe(root);
  });

  it('serves a browser where the window ends at once', async () => {
    const dist = makeRuntime('broken', 1);
    const env = { DISPLAY: ':7', ELECTRON_OVERRIDE_DIST_PATH: dist };
    const running = start(['--no-open'], env);
    await waitFor(() => /http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(running.text()));
    expect(running.text()).toContain('the window ended at once');
    running.child.kill('SIGTERM');
    expect(await running.ended).toBe(0);
  });

  it('says why there is no window, where one was asked for', async () => {
    const running = start(['--window']);
    expect(await running.ended).toBe(78);
    expect(running.text()).toContain('no window: there is no display');
  });

  it('helps, and refuses what it does not know', async () => {
    const help = start(['--help']);
    expect(await help.ended).toBe(0);
    expect(help.text()).toContain('--browser');
    const unknown = start(['--prot', '80']);
    expect(await unknown.ended).toBe(64);
    expect(unknown.text()).toContain('--prot');
  });
});
