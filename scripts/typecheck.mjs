// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm run typecheck`: the layers by the compiler. One tsconfig each: the engine without Node and DOM, main without DOM, the page
 * without Node. Two at a time. Also a function, for `npm test`.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const cache = join(root, 'node_modules', '.cache', 'diolab');
const bin = (file) => join(root, 'node_modules', file);

export const projects = [
  { id: 'engine', program: 'typescript/bin/tsc', project: 'engine' },
  { id: 'main', program: 'typescript/bin/tsc', project: 'main' },
  { id: 'main/desktop', program: 'typescript/bin/tsc', project: 'main/desktop' },
  { id: 'renderer', program: 'vue-tsc/bin/vue-tsc.js', project: 'renderer' },
  { id: 'test', program: 'typescript/bin/tsc', project: 'test' },
  { id: 'scripts', program: 'typescript/bin/tsc', project: 'scripts' },
];

function check({ id, program, project }) {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [
        bin(program),
        '--noEmit',
        ...['--pretty', 'false', '-p', join(root, project)],
        // What did not change since the last check is not checked again.
        ...[
          '--incremental',
          '--tsBuildInfoFile',
          join(cache, `${id.replace('/', '-')}.tsbuildinfo`),
        ],
      ],
      { cwd: root },
    );
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    child.on('error', (error) => resolve({ ok: false, output: error.message }));
    child.on('exit', (code) => resolve({ ok: code === 0, output }));
  });
}

/** Checks the projects, two at a time; `onResult(id, ok, output)` in the order they end. Returns whether all passed. */
export async function typecheck(onResult, asked = projects) {
  const waiting = asked.filter(({ project }) => existsSync(join(root, project, 'tsconfig.json')));
  let allOk = true;
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { ok, output } = await check(next);
      allOk &&= ok;
      onResult(next.id, ok, output);
    }
  };
  await Promise.all([worker(), worker()]);
  return allOk;
}

if (process.argv[1] === import.meta.filename) {
  const ok = await typecheck((id, passed, output) => {
    process.stdout.write(`${passed ? 'ok' : 'FAILED'}  types of ${id}\n${output}`);
  });
  process.exitCode = ok ? 0 : 1;
}
