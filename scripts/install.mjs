// SPDX-License-Identifier: GPL-2.0-only
/**
 * Installs the packages where node_modules is missing or older than the lock file. Shared by every command that must work on a fresh
 * clone. Light: nothing but Node itself may be imported here.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const lockFile = join(root, 'package-lock.json');
const installedLock = join(root, 'node_modules', '.package-lock.json');

/** Null where everything is there; else the reason to install. */
export function installReason() {
  if (!existsSync(installedLock)) return 'node_modules is missing';
  if (statSync(lockFile).mtimeMs <= statSync(installedLock).mtimeMs) return null;
  // A checkout touches times: compare what npm wrote down with what the lock file asks for.
  const asked = JSON.parse(readFileSync(lockFile, 'utf8')).packages;
  const got = JSON.parse(readFileSync(installedLock, 'utf8')).packages;
  for (const [place, entry] of Object.entries(asked)) {
    if (place === '' || entry.optional || entry.link || !place.startsWith('node_modules/'))
      continue;
    if (got[place]?.version !== entry.version)
      return 'node_modules is older than package-lock.json';
  }
  return null;
}

/**
 * Runs `npm ci` where needed, says so in one line, and returns whether it did. npm's warnings are not failures; only its exit
 * status is. Throws with npm's own words where it fails.
 */
export function installMissing(log = (line) => process.stderr.write(`${line}\n`)) {
  const reason = installReason();
  if (reason === null) return false;
  log(`${reason}: installing packages (npm ci), about a minute`);
  // npm is a program of its own; inside `npm start` its path is known, else it is on the PATH.
  const npmCli = process.env['npm_execpath'];
  const words = ['ci', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const isScript = npmCli !== undefined && /npm-cli\.[cm]?js$/.test(npmCli);
  const run = isScript
    ? spawnSync(process.execPath, [npmCli, ...words], { cwd: root, encoding: 'utf8' })
    : spawnSync('npm', words, {
        cwd: root,
        encoding: 'utf8',
        shell: process.platform === 'win32',
      });
  if (run.error) throw new Error(`npm cannot be started: ${run.error.message}`);
  if (run.status !== 0) throw new Error(`npm ci failed:\n${run.stdout}${run.stderr}`);
  return true;
}

if (process.argv[1] === import.meta.filename) installMissing();
