// SPDX-License-Identifier: GPL-2.0-only
/**
 * Packages the app with electron-builder on stand-ins of the runtime's files, and looks into what comes out. No download: the stand-in
 * executable is a few bytes around a fuse wire.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseFileList } from '../../main/desktop/protocol.ts';
import { describeWith, findProgram } from '../support/tools.ts';

const root = join(import.meta.dirname, '../..');
const SENTINEL = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
/** In the order of the wire: RunAsNode .. WasmTrapHandlers; what a runtime has before anybody decides. */
const SHIPPED_WIRE = '101100011';

interface Asar {
  listPackage(archive: string, options: { isPack: boolean }): string[];
  extractFile(archive: string, file: string): Buffer;
}
const asar = createRequire(import.meta.url)('@electron/asar') as Asar;

function makeRuntime(folder: string): void {
  const wire = Buffer.concat([
    Buffer.from(`stand-in ${SENTINEL}`),
    Buffer.from([1, SHIPPED_WIRE.length]),
    Buffer.from(SHIPPED_WIRE),
    Buffer.from(' end'),
  ]);
  mkdirSync(join(folder, 'resources'), { recursive: true });
  mkdirSync(join(folder, 'locales'));
  writeFileSync(join(folder, 'locales', 'en-US.pak'), '');
  for (const name of ['electron', 'chrome-sandbox', 'chrome_crashpad_handler']) {
    writeFileSync(join(folder, name), wire);
    chmodSync(join(folder, name), 0o755);
  }
  const { version } = JSON.parse(
    readFileSync(join(root, 'node_modules/electron/package.json'), 'utf8'),
  ) as { version: string };
  writeFileSync(join(folder, 'version'), version);
  for (const name of ['LICENSE', 'LICENSES.chromium.html']) writeFileSync(join(folder, name), '');
}

describe('the packaged app', () => {
  let work: string;
  let unpacked: string;
  let files: string[];
  let archive: string;

  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), 'diolab-packaging-'));
    const runtime = join(work, 'runtime');
    makeRuntime(runtime);
    execFileSync(process.execPath, [join(root, 'scripts/build.mjs')], { cwd: root });
    execFileSync(
      process.execPath,
      [
        join(root, 'node_modules/electron-builder/cli.js'),
        '--linux',
        'dir',
        '--publish',
        'never',
        `-c.electronDist=${runtime}`,
        `-c.directories.output=${join(work, 'out')}`,
      ],
      { cwd: root, stdio: 'pipe', env: { ...process.env, CSC_IDENTITY_AUTO_DISCOVERY: 'false' } },
    );
    unpacked = join(work, 'out/linux-unpacked');
    archive = join(unpacked, 'resources/app.asar');
    files = asar.listPackage(archive, { isPack: false });
  });
  afterAll(() => {
    rmSync(work, { recursive: true, force: true });
  });

  it('has the executable under its own name', () => {
    expect(statSync(join(unpacked, 'diolab')).mode & 0o111).toBe(0o111);
  });

  it('holds what was built, and the page by its own list', () => {
    for (const file of [
      '/package.json',
      '/LICENSE',
      '/dist/desktop/main.js',
      '/dist/preload/preload.cjs',
      '/dist/engine/process.js',
      '/dist/engine/thread.js',
      '/dist/renderer/index.html',
      '/dist/renderer/files.json',
    ]) {
      expect(files).toContain(file);
    }
    const list = parseFileList(
      asar.extractFile(archive, 'dist/renderer/files.json').toString('utf8'),
    );
    expect(list.size).toBeGreaterThan(2);
    for (const file of [...list.keys()].filter((each) => !each.endsWith('.map'))) {
      expect(files).toContain(`/dist/renderer${file}`);
    }
  });

  it('starts at the built main process', () => {
    const { main } = JSON.parse(asar.extractFile(archive, 'package.json').toString('utf8')) as {
      main: string;
    };
    expect(files).toContain(`/${main}`);
  });

  it('holds no sources, tests, maps or libraries that are bundled already', () => {
    const foreign = files.filter((file) =>
      /^\/(engine|main|renderer|test|scripts|docs|bin)\/|\.map$|\.test\.|\.ts$/.test(
        file.replace(/^\/node_modules\/.*/, ''),
      ),
    );
    expect(foreign).toEqual([]);
    const packages = new Set(
      files
        .map((file) => /^\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1])
        .filter((name) => name !== undefined && !/^@[^/]+$/.test(name)),
    );
    for (const name of packages) expect(name).toMatch(/^(koffi|@koromix\/|@duckdb\/)/);
    expect(packages).toContain('koffi');
    expect(packages).toContain('@duckdb/node-api');
  });

  it('leaves out koffi’s sources and everything for musl', () => {
    expect(files.filter((file) => /^\/node_modules\/koffi\/(doc|src|vendor)/.test(file))).toEqual(
      [],
    );
    expect(files.filter((file) => /musl/.test(file))).toEqual([]);
  });

  it('has the native binaries outside of the archive', () => {
    const outside = readdirSync(`${archive}.unpacked`, { recursive: true }) as string[];
    expect(outside.some((file) => file.endsWith('koffi.node'))).toBe(true);
    expect(outside.some((file) => /duckdb.*\.node$/.test(file))).toBe(true);
    expect(outside.some((file) => /libduckdb\.(so|dylib|dll)/.test(file))).toBe(true);
    expect(outside.some((file) => /musl/.test(file))).toBe(false);
  });

  it('has all nine fuses as decided', () => {
    const bytes = readFileSync(join(unpacked, 'diolab'));
    const at = bytes.indexOf(SENTINEL) + SENTINEL.length + 2;
    const digits = bytes.subarray(at, at + SHIPPED_WIRE.length).toString('latin1');
    const names = [
      'runAsNode',
      'enableCookieEncryption',
      'enableNodeOptionsEnvironmentVariable',
      'enableNodeCliInspectArguments',
      'enableEmbeddedAsarIntegrityValidation',
      'onlyLoadAppFromAsar',
      'loadBrowserProcessSpecificV8Snapshot',
      'grantFileProtocolExtraPrivileges',
      'wasmTrapHandlers',
    ];
    expect(Object.fromEntries(names.map((name, index) => [name, digits[index]]))).toEqual({
      runAsNode: '0',
      enableCookieEncryption: '1',
      enableNodeOptionsEnvironmentVariable: '0',
      enableNodeCliInspectArguments: '0',
      enableEmbeddedAsarIntegrityValidation: '1',
      onlyLoadAppFromAsar: '1',
      loadBrowserProcessSpecificV8Snapshot: '0',
      grantFileProtocolExtraPrivileges: '0',
      wasmTrapHandlers: '1',
    });
  });

  it('brings the desktop entry and the metadata', () => {
    for (const name of ['io.github.diolab.desktop', 'io.github.diolab.metainfo.xml']) {
      expect(existsSync(join(unpacked, 'resources/linux', name))).toBe(true);
    }
  });
});

describeWith(['desktop-file-utils'], 'desktop-file-validate', () => {
  it('accepts the desktop entry', () => {
    const program = findProgram('desktop-file-validate') ?? '';
    const entry = join(root, 'assets/linux/io.github.diolab.desktop');
    expect(execFileSync(program, [entry], { encoding: 'utf8' })).toBe('');
  });
});

describeWith(['appstream'], 'appstreamcli', () => {
  it('accepts the metadata', () => {
    const program = findProgram('appstreamcli') ?? '';
    const metadata = join(root, 'assets/linux/io.github.diolab.metainfo.xml');
    const words = ['validate', '--no-net', metadata];
    expect(execFileSync(program, words, { encoding: 'utf8' })).toMatch(/successful/);
  });
});
