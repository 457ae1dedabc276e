// SPDX-License-Identifier: GPL-2.0-only
/** Start-up: the terminal's help, the web host until its address is printed, and the first paint of the page in Chromium. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { findProgram } from '../tools-table.mjs';
import { capture, diolab, median, root } from './measure.mjs';

/** Starts the web host; gives its link, the time until it was printed, and what ends it. */
async function startHost(dataFolder) {
  const startedAtMs = performance.now();
  const child = spawn(process.execPath, [diolab, 'serve'], {
    cwd: root,
    env: { ...process.env, DIOLAB_DATA: dataFolder },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  const link = await new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      const match = /http:\/\/\S+/.exec(text);
      if (match !== null) resolve(match[0]);
    });
    child.on('error', reject);
    child.on('close', (status) => reject(new Error(`diolab serve ended with ${status}`)));
  });
  const elapsedMs = performance.now() - startedAtMs;
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  return { link, elapsedMs, stop };
}

/** Asks a page's first paint through Chromium's debugging socket. */
async function firstPaintMs(chromium, link, profile) {
  const child = spawn(
    chromium,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      link,
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.on('close', resolve));
  try {
    const port = await waitFor(
      () => readFileSync(join(profile, 'DevToolsActivePort'), 'utf8').split('\n')[0],
    );
    const page = await waitFor(async () => {
      const pages = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
      return pages.find((each) => each.type === 'page' && each.url.startsWith('http'));
    });
    const socket = new WebSocket(page.webSocketDebuggerUrl);
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const expression =
      "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
    const ask = () =>
      new Promise((resolve) => {
        socket.once('message', (data) => resolve(JSON.parse(data).result?.result?.value ?? null));
        socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } }));
      });
    const paint = await waitFor(ask);
    socket.close();
    return paint;
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

/** Asks again and again, 20 s at most, until there is an answer. */
async function waitFor(ask) {
  const endMs = Date.now() + 20_000;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== null && answer !== undefined && answer !== '') return answer;
    } catch (error) {
      if (Date.now() > endMs) throw error;
    }
    if (Date.now() > endMs) throw new Error('no answer within 20 s');
    await sleep(50);
  }
}

const row = (name, values, limitMs) => ({
  cells: [
    name,
    `${median(values).toFixed(0)} ms`,
    `${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)} ms`,
  ],
  values: { name, medianMs: median(values), allMs: values },
  aim: { text: `under ${limitMs} ms`, isMet: median(values) < limitMs },
});

export const section = {
  id: 'start-up',
  needs: ['engine', 'cli', 'renderer'],
  title: 'Start-up',
  columns: ['what', 'median', 'range'],
  async run({ quick, folder }) {
    const times = quick ? 3 : 7;
    const help = [];
    for (let round = 0; round < times; round += 1) {
      const startedAtMs = performance.now();
      await capture(process.execPath, [diolab, '--help']);
      help.push(performance.now() - startedAtMs);
    }
    const ready = [];
    const paint = [];
    const chromium = findProgram('chromium');
    for (let round = 0; round < times; round += 1) {
      const host = await startHost(join(folder, 'start-up'));
      ready.push(host.elapsedMs);
      const profile = mkdtempSync(join(tmpdir(), 'diolab-bench-profile-'));
      try {
        if (chromium !== null) paint.push(await firstPaintMs(chromium, host.link, profile));
      } finally {
        await host.stop();
        rmSync(profile, { recursive: true, force: true });
      }
    }
    const rows = [row('terminal: help', help, 300), row('web host: ready', ready, 1000)];
    if (paint.length > 0) rows.push(row('page: first paint', paint, 1000));
    else
      rows.push({
        cells: ['page: first paint', 'not measured', 'chromium is missing'],
        values: null,
        aim: null,
      });
    return rows;
  },
};
