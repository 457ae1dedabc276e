// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm run build:helper [-- --to FILE]`: compiles the privileged helper (main/helper, one C file, libc only) with the system's C
 * compiler, into dist/helper/diolab-helper unless told elsewhere. Also a function. Where there is no compiler it says so, and nothing else
 * of the lab is missing: loop devices are then the only thing that cannot be used.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
export const helperSource = join(root, 'main/helper/diolab-helper.c');
export const helperPath = join(root, 'dist/helper/diolab-helper');

/** Hardened as far as every compiler of the last ten years knows it. */
const FLAGS = [
  '-std=gnu11',
  '-O2',
  '-Wall',
  '-Wextra',
  '-Wconversion',
  '-Wshadow',
  '-Werror',
  '-fstack-protector-strong',
  '-D_FORTIFY_SOURCE=2',
  '-fPIE',
  '-Wl,-z,relro,-z,now',
];
/** Static: no loader looks for libraries, or at LD_PRELOAD, before the program's first line. Some systems have libc only as a library. */
const LINKS = ['-static-pie', '-pie'];

/** The C compiler of this system: $CC, cc, gcc or clang; null where there is none. */
export function findCompiler() {
  const candidates = [process.env.CC, 'cc', 'gcc', 'clang'].filter(Boolean);
  return (
    candidates.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0) ??
    null
  );
}

/** True where the built helper is as new as its source. */
export const isHelperFresh = (path = helperPath) =>
  existsSync(path) && statSync(path).mtimeMs >= statSync(helperSource).mtimeMs;

/**
 * Compiles, atomically. Returns `{ path }`, or `{ missing }`: a sentence that says what is not there. A compiler that finds something
 * wrong throws.
 */
export function buildHelper({ source = helperSource, path = helperPath, force = false } = {}) {
  if (process.platform !== 'linux') return { missing: 'the helper is for Linux only' };
  if (!force && source === helperSource && isHelperFresh(path)) return { path };
  const compiler = findCompiler();
  if (compiler === null) {
    return { missing: 'no C compiler: apt install gcc libc6-dev, then npm run build:helper' };
  }
  mkdirSync(dirname(path), { recursive: true });
  const next = `${path}.${process.pid}`;
  const build = (link) =>
    spawnSync(compiler, [...FLAGS, link, '-o', next, source], { encoding: 'utf8' });
  let made = build(LINKS[0]);
  if (made.status !== 0 && /-lc\b|libc\.a/.test(made.stderr)) made = build(LINKS[1]);
  if (made.status !== 0) {
    rmSync(next, { force: true });
    throw new Error(`${compiler}: ${made.stderr || made.error?.message || 'failed'}`);
  }
  renameSync(next, path);
  return { path };
}

if (process.argv[1] === import.meta.filename) {
  const at = process.argv.indexOf('--to');
  const path = at > 0 ? process.argv[at + 1] : helperPath;
  try {
    const { missing } = buildHelper({ path, force: at > 0 });
    console.log(missing === undefined ? `built ${path}` : `not built: ${missing}`);
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
