// SPDX-License-Identifier: GPL-2.0-only
/**
 * Packages the app with electron-builder on stand-ins of the runtime's files, and looks into what comes out. No download: the stand-in
 * executable is a few bytes around a fuse wire, and the .deb is made by test/support/fpm-stand-in.mjs from the words for fpm.
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
import { layOutLinuxRoot, linuxFiles } from '../../scripts/linux-root.mjs';
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

/** A line of `dpkg-deb --contents`. */
interface DebEntry {
  readonly mode: string;
  readonly owner: string;
}
function debContents(deb: string): Map<string, DebEntry> {
  const text = execFileSync('dpkg-deb', ['--contents', deb], { encoding: 'utf8', maxBuffer: 1e8 });
  return new Map(
    text
      .trimEnd()
      .split('\n')
      .map((line) => /^(\S+) (\S+) +\d+ \S+ \S+ (?:\.)(.*?)(?: -> .*)?$/.exec(line))
      .filter((found) => found !== null)
      .map(([, mode = '', owner = '', path = '']) => [path, { mode, owner }]),
  );
}
const policyPath = join(root, 'assets/linux/io.github.diolab.policy');

describe('the packaged app', () => {
  let work: string;
  let unpacked: string;
  let deb: string;
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
        ...(findProgram('dpkg-deb') === null ? [] : ['deb']),
        '--publish',
        'never',
        `-c.electronDist=${runtime}`,
        `-c.directories.output=${join(work, 'out')}`,
      ],
      {
        cwd: root,
        stdio: 'pipe',
        env: {
          ...process.env,
          CSC_IDENTITY_AUTO_DISCOVERY: 'false',
          CUSTOM_FPM_PATH: join(root, 'test/support/fpm-stand-in.mjs'),
        },
      },
    );
    const made = readdirSync(join(work, 'out')).find((name) => name.endsWith('.deb'));
    deb = join(work, 'out', made ?? '');
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

  it('brings the desktop entry, the metadata and the sample experiments', () => {
    for (const name of ['io.github.diolab.desktop', 'io.github.diolab.metainfo.xml']) {
      expect(existsSync(join(unpacked, 'resources/linux', name))).toBe(true);
    }
    expect(readdirSync(join(unpacked, 'resources/experiments'))).toEqual(
      readdirSync(join(root, 'assets/experiments')),
    );
  });

  describeWith(['dpkg'], 'the .deb', () => {
    let contents: Map<string, DebEntry>;
    let work2: string;
    const fieldOf = (name: string): string =>
      execFileSync('dpkg-deb', ['--field', deb, name], { encoding: 'utf8' }).trim();
    beforeAll(() => {
      contents = debContents(deb);
      work2 = join(work, 'deb');
      execFileSync('dpkg-deb', ['--raw-extract', deb, work2]);
    });
    const text = (path: string): string => readFileSync(join(work2, path), 'utf8');

    it('has everything that lies outside of /opt, root’s and with its mode', () => {
      const { laidOut, missing } = layOutLinuxRoot({ to: join(work, 'linux-root') });
      expect(laidOut.length + missing.length).toBeGreaterThanOrEqual(linuxFiles.length - 1);
      for (const path of laidOut) {
        const entry = contents.get(`/${path}`);
        expect(entry?.owner, path).toBe('root/root');
        const isProgram = path.endsWith('diolab-helper');
        expect(entry?.mode, path).toBe(isProgram ? '-rwxr-xr-x' : '-rw-r--r--');
      }
      for (const [path, { mode, owner }] of contents) {
        expect(owner, path).toBe('root/root');
        // Nothing that others may write, and nothing that runs with rights which its caller has not.
        expect(mode.slice(1), path).not.toMatch(/s|S|^.{4}w|w.$/);
      }
    });
    it('has the helper and the policy that names it, both or neither', () => {
      const hasHelper = contents.has('/usr/lib/diolab/diolab-helper');
      expect(contents.has('/usr/share/polkit-1/actions/io.github.diolab.policy')).toBe(hasHelper);
      if (!existsSync(policyPath) || findProgram('cc') === null) return;
      expect(hasHelper).toBe(true);
      expect(
        readFileSync(join(work2, 'usr/lib/diolab/diolab-helper')).subarray(1, 4).toString(),
      ).toBe('ELF');
    });
    it('says what it is and what it takes', () => {
      expect(fieldOf('Package')).toBe('diolab');
      expect(fieldOf('Recommends')).toContain('pkexec');
      expect(fieldOf('Depends')).toContain('libnss3');
      expect(fieldOf('Maintainer')).toContain('The diolab authors');
    });
    it('keeps the built-in steps of electron-builder when it is installed and removed', () => {
      const install = text('DEBIAN/postinst');
      for (const step of [
        "update-alternatives --install '/usr/bin/diolab' 'diolab' '/opt/diolab/diolab'",
        "chmod 4755 '/opt/diolab/chrome-sandbox'",
        'update-mime-database /usr/share/mime',
        'update-desktop-database /usr/share/applications',
        '/opt/diolab/resources/apparmor-profile',
        "APPARMOR_PROFILE_TARGET='/etc/apparmor.d/diolab'",
      ]) {
        expect(install).toContain(step);
      }
      const removal = text('DEBIAN/postrm');
      expect(removal).toContain("update-alternatives --remove 'diolab' '/opt/diolab/diolab'");
      expect(removal).toContain("'/etc/apparmor.d/diolab'");
      expect(install + removal).not.toContain('${');
      for (const script of ['postinst', 'postrm']) {
        execFileSync('bash', ['-n', join(work2, 'DEBIAN', script)]);
      }
      expect(contents.has('/opt/diolab/resources/apparmor-profile')).toBe(true);
    });
    it('has a desktop entry by the name of the window’s app id, for experiments too', () => {
      const path = 'usr/share/applications/io.github.diolab.desktop';
      expect(contents.has(`/${path}`)).toBe(true);
      const entry = text(path);
      expect(entry).toMatch(/^Exec=\/opt\/diolab\/diolab %U$/m);
      expect(entry).toMatch(/^StartupWMClass=io\.github\.diolab$/m);
      expect(entry).toMatch(/^MimeType=application\/x-diolab-experiment;$/m);
      const validate = findProgram('desktop-file-validate');
      if (validate !== null) {
        expect(execFileSync(validate, [join(work2, path)], { encoding: 'utf8' })).toBe('');
      }
      const { desktopName } = JSON.parse(
        asar.extractFile(archive, 'package.json').toString('utf8'),
      ) as { desktopName: string };
      expect(desktopName).toBe('io.github.diolab.desktop');
    });
    it('has icons of all sizes, by the name in the entry', () => {
      const icon = /^Icon=(.*)$/m.exec(
        text('usr/share/applications/io.github.diolab.desktop'),
      )?.[1];
      for (const size of ['16x16', '32x32', '48x48', '64x64', '128x128', '256x256', '512x512']) {
        expect(contents.has(`/usr/share/icons/hicolor/${size}/apps/${String(icon)}.png`)).toBe(
          true,
        );
      }
      expect(contents.has(`/usr/share/icons/hicolor/scalable/apps/${String(icon)}.svg`)).toBe(true);
    });
    it('has the media type of experiments', () => {
      const path = join(work2, 'usr/share/mime/packages/diolab.xml');
      expect(readFileSync(path, 'utf8')).toContain('type="application/x-diolab-experiment"');
      expect(readFileSync(path, 'utf8')).toContain('pattern="*.diolab"');
      const lint = findProgram('xmllint');
      if (lint !== null) execFileSync(lint, ['--noout', path]);
      const update = findProgram('update-mime-database');
      if (update === null) return;
      execFileSync(update, [join(work2, 'usr/share/mime')], { stdio: 'pipe' });
      expect(text('usr/share/mime/globs2')).toContain('application/x-diolab-experiment:*.diolab');
    });
  });
});

describe('what the .deb has outside of /opt', () => {
  let work: string;
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), 'diolab-linux-root-'));
  });
  afterAll(() => {
    rmSync(work, { recursive: true, force: true });
  });
  /** A checkout with all sources but those that `isLeftOut` names. */
  const checkout = (name: string, isLeftOut: (from: string) => boolean): string => {
    const source = join(work, name);
    for (const { from } of linuxFiles.filter((file) => !isLeftOut(file.from))) {
      mkdirSync(join(source, from, '..'), { recursive: true });
      writeFileSync(join(source, from), from, { mode: 0o600 });
    }
    return source;
  };

  it('is laid out with its modes, whatever the umask and the modes of the checkout', () => {
    const to = join(work, 'root');
    const before = process.umask(0o077);
    try {
      const { laidOut, missing } = layOutLinuxRoot({ source: checkout('all', () => false), to });
      expect(missing).toEqual([]);
      expect(laidOut).toHaveLength(linuxFiles.length);
    } finally {
      process.umask(before);
    }
    const modeOf = (path: string): number => statSync(join(to, path)).mode & 0o7777;
    expect(modeOf('usr/lib/diolab/diolab-helper')).toBe(0o755);
    expect(modeOf('usr/lib')).toBe(0o755);
    expect(modeOf('usr/share/man/man1/diolab.1')).toBe(0o644);
    expect(modeOf('usr/share/zsh/vendor-completions/_diolab')).toBe(0o644);
  });
  it('has neither of helper and policy where one is missing, and names what is missing', () => {
    const to = join(work, 'partly');
    const source = checkout('partly-source', (from) => /policy|share\/man/.test(from));
    const { laidOut, missing } = layOutLinuxRoot({ source, to });
    expect(missing).toEqual([
      'assets/linux/io.github.diolab.policy',
      'dist/share/man/man1/diolab.1',
    ]);
    expect(laidOut.some((path) => /helper|policy/.test(path))).toBe(false);
  });
  it('is not made where the metadata is missing', () => {
    const source = checkout('broken', (from) => from.includes('metainfo'));
    expect(() => layOutLinuxRoot({ source, to: join(work, 'none') })).toThrow(/metainfo/);
  });
});

describeWith(['libxml2-utils'], 'xmllint', () => {
  const xpath = (file: string, path: string): string =>
    execFileSync(findProgram('xmllint') ?? '', ['--nonet', '--xpath', `string(${path})`, file], {
      encoding: 'utf8',
    }).trim();
  it.skipIf(!existsSync(policyPath))(
    'reads the policy: the action, who may, and the helper’s own path',
    () => {
      execFileSync(findProgram('xmllint') ?? '', ['--nonet', '--noout', policyPath]);
      const action = '//action[@id="io.github.diolab.helper.run"]';
      expect(xpath(policyPath, 'count(//action)')).toBe('1');
      expect(xpath(policyPath, `${action}/defaults/allow_active`)).toBe('auth_admin_keep');
      expect(xpath(policyPath, `${action}/defaults/allow_inactive`)).toBe('auth_admin');
      expect(xpath(policyPath, `${action}/defaults/allow_any`)).toBe('auth_admin');
      const annotation = `${action}/annotate[@key="org.freedesktop.policykit.exec.path"]`;
      const helper = linuxFiles.find(({ to }) => to.endsWith('diolab-helper'));
      expect(xpath(policyPath, annotation)).toBe(`/${String(helper?.to)}`);
    },
  );
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
