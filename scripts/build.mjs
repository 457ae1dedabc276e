// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm run build [-- [--force] [--partial] [TARGET...]]`: builds what changed since it was built last. Also a function: `build({ only })`.
 * A target is built into a folder beside its own and then takes its place, under a lock: starting `diolab` twice at once, or while a
 * build runs, never meets a half-written file.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { missingEntries, root, targets } from './build-targets.mjs';
import { isFresh, takeStamp, writeStamp } from './freshness.mjs';
import { writeReference } from './reference.mjs';

const lockPath = join(root, 'dist', '.lock');

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Takes the build lock; waits for whoever has it, and takes it over from a process that is gone. */
async function lock() {
  mkdirSync(join(root, 'dist'), { recursive: true });
  for (;;) {
    try {
      writeFileSync(lockPath, String(process.pid), { flag: 'wx' });
      return () => rmSync(lockPath, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    let owner = NaN;
    try {
      owner = Number(readFileSync(lockPath, 'utf8'));
    } catch {
      continue; // released between the two looks
    }
    const isOld = existsSync(lockPath) && Date.now() - statSync(lockPath).mtimeMs > 1000;
    if (isOld && !(owner > 0 && isRunning(owner))) rmSync(lockPath, { force: true });
    await sleep(100);
  }
}

const mediaTypes = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.map': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
};

/**
 * Writes files.json: every file of the page with its media type, size and hash. The window's protocol handler and the web host serve
 * what is in this list and nothing else.
 */
export function writeFileList(folder) {
  const files = {};
  const visit = (path) => {
    for (const entry of readdirSync(join(folder, path), { withFileTypes: true })) {
      const child = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) visit(child);
      else if (child !== 'files.json') {
        const content = readFileSync(join(folder, child));
        const type = mediaTypes[extname(child)];
        if (type === undefined)
          throw new Error(`${child}: no media type for this ending is listed`);
        const sha256 = createHash('sha256').update(content).digest('hex');
        files[`/${child}`] = { type, sizeBytes: content.length, sha256 };
      }
    }
  };
  visit('');
  writeFileSync(join(folder, 'files.json'), `${JSON.stringify({ files }, null, 1)}\n`);
}

async function buildTarget(target, partial) {
  const { build: viteBuild } = await import('vite');
  const stamp = takeStamp(root, target);
  const folder = join(root, target.folder);
  const next = `${folder}.next`;
  const last = `${folder}.last`;
  rmSync(next, { recursive: true, force: true });
  const config = target.config(partial ? missingEntries(target) : []);
  await viteBuild({ ...config, build: { ...config.build, outDir: next } });
  if (target.id === 'renderer') writeFileList(next);
  rmSync(last, { recursive: true, force: true });
  if (existsSync(folder)) renameSync(folder, last);
  renameSync(next, folder);
  rmSync(last, { recursive: true, force: true });
  if (target.id === 'cli') writeReference(join(folder, 'main.js'), join(root, 'dist/share'));
  writeStamp(root, target, stamp);
}

/** Targets that are not fresh, of those asked for (all where `only` is empty). */
export function staleTargets(only = [], force = false) {
  const asked = targets.filter((target) =>
    only.length === 0 ? target.isOnDemand !== true : only.includes(target.id),
  );
  return asked.filter((target) => force || !isFresh(root, target));
}

/**
 * Builds what is stale. `log` is told one line a target. Throws where a source is missing or Vite fails; with `partial` (work in
 * progress) what is missing is left out and named.
 */
export async function build({ only = [], force = false, partial = false, log = () => {} } = {}) {
  if (staleTargets(only, force).length === 0) return [];
  const unlock = await lock();
  const onSignal = () => {
    unlock();
    process.exit(130);
  };
  process.once('SIGINT', onSignal);
  try {
    const stale = staleTargets(only, force); // somebody else may have built meanwhile
    for (const target of stale) {
      const missing = missingEntries(target);
      if (missing.length > 0 && !partial) {
        throw new Error(`${target.id}: ${missing.join(', ')} is missing`);
      }
      if (missing.length > 0) log(`${target.id}: left out, not there: ${missing.join(', ')}`);
      if (missing.length === Object.keys(target.entries).length) continue;
      const startedAtMs = Date.now();
      await buildTarget(target, partial);
      log(`built ${target.id} in ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s`);
    }
    return stale.map((target) => target.id);
  } finally {
    process.removeListener('SIGINT', onSignal);
    unlock();
  }
}

if (process.argv[1] === import.meta.filename) {
  const words = process.argv.slice(2);
  const only = words.filter((word) => !word.startsWith('--'));
  const unknown = only.filter((id) => !targets.some((target) => target.id === id));
  if (unknown.length > 0) {
    console.error(
      `no such target: ${unknown.join(', ')}; there are ${targets.map((t) => t.id).join(', ')}`,
    );
    process.exit(64);
  }
  try {
    const built = await build({
      only,
      force: words.includes('--force'),
      partial: words.includes('--partial'),
      log: console.log,
    });
    if (built.length === 0) console.log('everything is up to date');
  } catch (error) {
    console.error(`build: ${error.message}`);
    process.exit(1);
  }
}
