// SPDX-License-Identifier: GPL-2.0-only
/**
 * electron-builder's afterPack hook: decides the fuse that its options do not name, and refuses a runtime with a fuse that nobody here
 * has decided on. The wire in the executable is a sentinel, a version byte (1), a length byte, then one digit a fuse: '0' off, '1' on.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SENTINEL = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
/** WasmTrapHandlers: on, as the runtime ships it; the page's CSP blocks WebAssembly there. */
const WASM_TRAP_HANDLERS = 8;
const FUSES = 9;

/** Sets the ninth fuse in the bytes of an executable. */
export function decideFuses(bytes) {
  const at = bytes.indexOf(SENTINEL);
  if (at < 0) throw new Error('the executable has no fuse wire');
  const wire = at + SENTINEL.length;
  const version = bytes[wire];
  const length = bytes[wire + 1];
  if (version !== 1) throw new Error(`fuse wire of version ${version}, only 1 is known`);
  if (length > FUSES) throw new Error(`the runtime has ${length} fuses, only ${FUSES} are decided`);
  if (length > WASM_TRAP_HANDLERS) bytes[wire + 2 + WASM_TRAP_HANDLERS] = '1'.charCodeAt(0);
  return bytes;
}

const programs = {
  linux: (context) => context.packager.executableName,
  win32: (context) => `${context.packager.appInfo.productFilename}.exe`,
  darwin: (context) =>
    `${context.packager.appInfo.productFilename}.app/Contents/Frameworks/Electron Framework.framework/Electron Framework`,
};

export default function afterPack(context) {
  const program = join(context.appOutDir, programs[context.electronPlatformName](context));
  writeFileSync(program, decideFuses(readFileSync(program)));
}
