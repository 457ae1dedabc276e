#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only
// Starts the chromedriver that the machine has ($CHROMEDRIVER, else `chromedriver` on the PATH) with the arguments it was
// given, hands signals on, and ends with the same status. Spectron finds it under the name electron-chromedriver.
'use strict';
const { spawn } = require('node:child_process');

const program = process.env.CHROMEDRIVER || 'chromedriver';
const child = spawn(program, process.argv.slice(2), { stdio: 'inherit' });
child.on('error', (error) => {
  process.stderr.write(`chromedriver: cannot start ${program}: ${error.message}\n`);
  process.exit(127);
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  if (signal) process.kill(process.pid, signal);
  else process.exit(code ?? 1);
});
