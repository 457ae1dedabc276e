// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm start [-- OPTIONS]`: from a fresh clone to the running lab. Installs and builds what is missing, then shows the lab in its
 * window where the Electron runtime is present or can be fetched and a display exists, else serves it to a browser and opens or
 * prints the address. Says which and why in one line. Never imports the electron package: that would download by itself.
 */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { installMissing } from './install.mjs';

const root = join(import.meta.dirname, '..');
const say = (line) => process.stdout.write(`${line}\n`);

const help = `npm start [-- OPTIONS]
  --window      the window, or an error that says why not
  --browser     serve on this machine for a browser
  --port N      port of the browser face (default: a free one)
  --no-open     print the address, do not open a browser
  --help        this text`;

/** Options of the command line; a `problem` where they are not understood. */
export function parseOptions(words) {
  const options = { face: null, port: null, open: true, help: false, problem: null };
  for (let at = 0; at < words.length; at += 1) {
    const [name, inline] = words[at].split(/=(.*)/s);
    if (name === '--window' || name === '--browser') options.face = name.slice(2);
    else if (name === '--no-open') options.open = false;
    else if (name === '--help' || name === '-h') options.help = true;
    else if (name === '--port') {
      const text = inline ?? words[(at += 1)];
      const port = /^\d{1,5}$/.test(text ?? '') ? Number(text) : NaN;
      if (!(port <= 65535))
        options.problem ??= `--port wants a number from 0 to 65535, not ${String(text)}`;
      else options.port = port;
    } else options.problem ??= `unknown option ${words[at]}`;
  }
  return options;
}

/**
 * Which face, and why. `facts`: asked face or null, hasDisplay, isRoot (on Linux), runtime 'present' | 'missing' | 'refused' with
 * `runtimeWhy`. `{ face: 'fetch' }`: the runtime must be fetched first, then ask again.
 */
export function decideFace({ asked, hasDisplay, isRoot, runtime, runtimeWhy }) {
  if (asked === 'browser') return { face: 'browser', why: 'asked for by --browser' };
  if (!hasDisplay)
    return {
      face: 'browser',
      why: 'there is no display (DISPLAY and WAYLAND_DISPLAY are not set)',
    };
  if (isRoot)
    return { face: 'browser', why: "root cannot use the window: Chromium's sandbox refuses it" };
  if (runtime === 'present') {
    const why = 'the Electron runtime and a display are here';
    return { face: 'window', why: asked === 'window' ? 'asked for by --window' : why };
  }
  if (runtime === 'missing') return { face: 'fetch', why: 'the Electron runtime is not here yet' };
  return { face: 'browser', why: `the Electron runtime is not here (${runtimeWhy})` };
}

const electronFolder = join(root, 'node_modules', 'electron');
const executables = { darwin: 'Electron.app/Contents/MacOS/Electron', win32: 'electron.exe' };
/** The runtime's program; null where it is not here. */
export function electronProgram() {
  const dist = process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? join(electronFolder, 'dist');
  const program = join(dist, executables[process.platform] ?? 'electron');
  return existsSync(program) ? program : null;
}

const cacheFolder = join(root, 'node_modules', '.cache', 'diolab');
const refusalPath = join(cacheFolder, 'electron-refused.json');
const refusalHoldsMs = 3_600_000;

/** A failed fetch is not tried again for an hour (unless asked by --window). */
function recentRefusal() {
  try {
    const { atUnixMs, why } = JSON.parse(readFileSync(refusalPath, 'utf8'));
    return Date.now() - atUnixMs < refusalHoldsMs ? why : null;
  } catch {
    return null; // none was written
  }
}

function folderBytes(folder) {
  let sum = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    try {
      sum += statSync(join(entry.parentPath, entry.name)).size;
    } catch {
      continue; // moved away between the two looks
    }
  }
  return sum;
}

/**
 * Runs electron's own installer. It may take as long as data arrives; without any for `stallMs` it is stopped. Returns null, or
 * why there is no runtime.
 */
async function fetchRuntime(stallMs = 12_000) {
  const temporary = join(cacheFolder, 'fetch');
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  const child = spawn(process.execPath, [join(electronFolder, 'install.js')], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, TMPDIR: temporary, TEMP: temporary, TMP: temporary },
  });
  let errorText = '';
  child.stderr.on('data', (data) => (errorText += data));
  let lastBytes = -1;
  let lastChangeMs = Date.now();
  let stalled = false;
  const watch = setInterval(() => {
    const bytes =
      folderBytes(temporary) +
      (existsSync(join(electronFolder, 'dist')) ? folderBytes(join(electronFolder, 'dist')) : 0);
    if (bytes !== lastBytes) {
      lastBytes = bytes;
      lastChangeMs = Date.now();
    } else if (Date.now() - lastChangeMs > stallMs) {
      stalled = true;
      child.kill('SIGKILL');
    }
  }, 500);
  const status = await new Promise((resolve) => {
    child.on('error', () => resolve(1));
    child.on('close', resolve);
  });
  clearInterval(watch);
  rmSync(temporary, { recursive: true, force: true });
  if (status === 0 && electronProgram() !== null) {
    rmSync(refusalPath, { force: true });
    return null;
  }
  const firstLine =
    errorText.split('\n').find((line) => line.trim() !== '') ?? `status ${String(status)}`;
  const why = stalled ? `no data for ${String(stallMs / 1000)} s` : firstLine.trim().slice(0, 160);
  writeFileSync(
    refusalPath,
    JSON.stringify({ atUnixMs: Date.now(), why: `it cannot be fetched: ${why}` }),
  );
  return `it cannot be fetched: ${why}`;
}

/** Looks at the machine, and fetches the runtime where that decides. */
async function chooseFace(asked) {
  const isLinux = process.platform === 'linux';
  const facts = {
    asked,
    hasDisplay: !isLinux || Boolean(process.env['DISPLAY'] || process.env['WAYLAND_DISPLAY']),
    isRoot: isLinux && process.getuid?.() === 0,
    runtime: 'missing',
    runtimeWhy: '',
  };
  if (electronProgram() !== null) facts.runtime = 'present';
  const refused = asked === 'window' ? null : recentRefusal();
  if (facts.runtime === 'missing' && refused !== null)
    Object.assign(facts, { runtime: 'refused', runtimeWhy: refused });
  const decision = decideFace(facts);
  if (decision.face !== 'fetch') return decision;
  say('fetching the Electron runtime, once (about 120 MB; `npm start -- --browser` does without)');
  const why = await fetchRuntime();
  return decideFace({
    ...facts,
    runtime: why === null ? 'present' : 'refused',
    runtimeWhy: why ?? '',
  });
}

/** Runs a child until it ends; Ctrl+C reaches it too, and it decides how to end. */
function runUntilEnd(program, words, env = {}) {
  return new Promise((resolve) => {
    const startedAtMs = Date.now();
    const child = spawn(program, words, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, ...env },
    });
    const ignore = () => {};
    const hand = (signal) => child.kill(signal);
    process.on('SIGINT', ignore); // the terminal sends it to the child as well
    process.on('SIGTERM', hand);
    process.on('SIGHUP', hand);
    const end = (status) => {
      process.removeListener('SIGINT', ignore);
      process.removeListener('SIGTERM', hand);
      process.removeListener('SIGHUP', hand);
      resolve({ status, elapsedMs: Date.now() - startedAtMs });
    };
    child.on('error', (error) => {
      say(error.message);
      end(78);
    });
    child.on('close', (status, signal) => end(status ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}

async function serve(options) {
  const { build } = await import('./build.mjs');
  await build({ only: ['engine', 'cli', 'renderer'], log: (line) => say(`  ${line}`) });
  const words = [join(root, 'bin/diolab.mjs'), 'serve'];
  if (options.port !== null) words.push('--port', String(options.port));
  if (options.open) words.push('--open');
  return (await runUntilEnd(process.execPath, words)).status;
}

/** The window; null where the runtime fell over at once, and the browser should be tried. */
async function openWindow() {
  const { build } = await import('./build.mjs');
  await build({
    only: ['engine', 'desktop', 'preload', 'renderer'],
    log: (line) => say(`  ${line}`),
  });
  const { status, elapsedMs } = await runUntilEnd(electronProgram(), [root]);
  return status !== 0 && status !== 130 && elapsedMs < 8000 ? null : status;
}

async function main(words) {
  const options = parseOptions(words);
  if (options.help) {
    say(help);
    return 0;
  }
  if (options.problem !== null) {
    process.stderr.write(`${options.problem}\n${help}\n`);
    return 64;
  }
  installMissing(say);
  const { face, why } = await chooseFace(options.face);
  if (options.face === 'window' && face !== 'window') {
    process.stderr.write(`no window: ${why}\n`);
    return 78;
  }
  say(face === 'window' ? `diolab in its window: ${why}` : `diolab for a browser: ${why}`);
  if (face === 'window') {
    const status = await openWindow();
    if (status !== null) return status;
    if (options.face === 'window') return 78;
    say('diolab for a browser: the window ended at once (see above)');
  }
  return serve(options);
}

if (process.argv[1] === import.meta.filename) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
