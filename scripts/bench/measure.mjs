// SPDX-License-Identifier: GPL-2.0-only
/** Small pieces that the sections of the bench share: medians, child processes, and what the machine is. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..', '..');
export const diolab = join(root, 'bin', 'diolab.mjs');

export function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Runs a program to its end and gives its standard output; throws with its words where it fails. */
export function capture(program, words, { env = {}, onStart = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (errors += data));
    child.on('error', reject);
    child.on('spawn', () => onStart(child));
    child.on('close', (status) => {
      if (status === 0) resolve(output);
      else
        reject(new Error(`${program} ${words.join(' ')} ended with ${status}: ${errors.trim()}`));
    });
  });
}

/** This machine in one line. */
export function machine() {
  const [cpu] = cpus();
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return `${cpu?.model.trim() ?? 'unknown CPU'}, ${cpus().length} cores, ${memoryGib} GiB, Linux ${release()}, Node ${process.versions.node}`;
}

/** Descendants of a process, by /proc. */
export function descendantsOf(pid) {
  const parents = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      // The name in brackets may hold anything; what follows the last bracket is "state ppid ...".
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      continue; // ended between the two looks
    }
  }
  const found = [];
  const waiting = [pid];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const [child, parent] of parents) {
      if (parent === next) {
        found.push(child);
        waiting.push(child);
      }
    }
  }
  return found;
}

/** Resident memory of a process in bytes; 0 where it is gone. */
export function residentBytes(pid) {
  try {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match === null ? 0 : Number(match[1]) * 1024;
  } catch {
    return 0; // ended
  }
}
