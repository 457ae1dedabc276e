// SPDX-License-Identifier: GPL-2.0-only
/** Loop devices that are kept, and verification, through the services: the real helper, real devices, the kernel's own mounts. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HostError } from '../../engine/base/index.ts';
import type { TransferPart, WorkbenchTools } from '../../engine/lab/workbench.ts';
import { workbenchTools } from '../../engine/lab/workbench/index.ts';
import type { LabClient } from '../../main/contract/client.ts';
import { hostErrorOf } from '../../main/contract/client.ts';
import type { LoopDeviceInfo, VerifyEvent, VerifyResult } from '../../main/contract/grounds.ts';
import type { MountedComparison } from '../../main/host/messages.ts';
import { compareMounted } from '../../main/host/native/compare-mounted.ts';
import { nativePorts } from '../../main/host/native/index.ts';
import { closeHelperSession } from '../../main/host/native/loops.ts';
import { makeServices, type Services } from '../../main/services/index.ts';
import { clientInProcess } from '../../main/services/router.ts';
import { CliLab, waitFor, type RunningCli } from '../support/cli.ts';
import { buildRealEngine } from '../support/engine/build.ts';
import { openTestLab, type TestLab } from '../support/engine/lab.ts';
import { experimentOf, jobOf } from '../support/engine/samples.ts';
import { useHelper, whyNoHelper } from '../support/helper.ts';
import { describeUnless, missingReason } from '../support/tools.ts';

const MIB = 2 ** 20;

const missing = whyNoHelper() ?? missingReason(['e2fsprogs', 'dosfstools']);
describeUnless(missing, 'loop devices and verification', () => {
  let helper: ReturnType<typeof useHelper> | null = null;
  let lab: TestLab;
  let services: Services;
  let other: Services;
  let client: LabClient;
  let elsewhere: LabClient;

  const makeLab = (): Promise<Services> =>
    makeServices({
      face: 'terminal',
      version: '0.0.0',
      paths: lab.paths,
      engineEntryPath: lab.engine.entryPath,
    });
  beforeAll(async () => {
    helper = useHelper();
    lab = await openTestLab(buildRealEngine);
    services = await makeLab();
    other = await makeLab();
    client = clientInProcess(services);
    elsewhere = clientInProcess(other);
    mkdirSync(lab.paths.images, { recursive: true });
  }, 120_000);
  afterAll(async () => {
    await services.close();
    await other.close();
    helper?.dispose();
    await lab.dispose();
  });

  const newImage = (name: string, sizeBytes = 16 * MIB): string => {
    const path = join(lab.paths.images, name);
    writeFileSync(path, '');
    truncateSync(path, sizeBytes);
    return path;
  };
  const attach = (path: string, change: object = {}): Promise<LoopDeviceInfo> =>
    client.loops.attach({ path, sectorBytes: 512, directIo: true, readOnly: false, ...change });
  const codeOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'none',
      (error: unknown) => hostErrorOf(error).code,
    );
  const behind = (path: string): string =>
    execFileSync('losetup', ['-j', path], { encoding: 'utf8' });

  it('attach as asked, are read back, listed, and gone after detach', async () => {
    const path = newImage('kept.img');
    for (const sectorBytes of [512, 4096] as const) {
      const info = await attach(path, { sectorBytes, readOnly: sectorBytes === 512 });
      expect(info).toMatchObject({
        imagePath: path,
        sectorBytes,
        hasDirectIo: true,
        isReadOnly: sectorBytes === 512,
        sizeBytes: 16 * MIB,
        owner: 'here',
        pid: process.pid,
      });
      const size = execFileSync('blockdev', ['--getss', info.device], { encoding: 'utf8' });
      expect(Number(size)).toBe(sectorBytes);
      expect(await client.loops.list()).toEqual([info]);
      expect(await codeOf(attach(path))).toBe('image.in-use');
      expect(await client.loops.detach({ device: info.device })).toEqual({ detached: true });
      expect(behind(path)).toBe('');
      expect(await client.loops.list()).toEqual([]);
    }
    expect(readdirSync(lab.paths.loops)).toEqual([]);
  }, 60_000);

  it('may be used by the person, and stay while they are', async () => {
    const path = newImage('used.img');
    const { device } = await attach(path);
    const fd = openSync(device, 'r+');
    try {
      writeSync(fd, Buffer.alloc(4096, 7), 0, 4096, 8192);
      expect(await codeOf(client.loops.detach({ device }))).toBe('helper.busy');
      expect(await client.loops.list()).toHaveLength(1);
    } finally {
      closeSync(fd);
    }
    await client.loops.detach({ device });
    expect(readFileSync(path).subarray(8192, 8192 + 4096)).toEqual(Buffer.alloc(4096, 7));
  }, 60_000);

  it('of another lab are shown as its own, and detached by asking it', async () => {
    const path = newImage('asked.img');
    const { device } = await attach(path);
    // Two labs in one process: the note names a live owner that is not the one who looks.
    expect(await elsewhere.loops.list()).toMatchObject([{ device, owner: 'elsewhere' }]);
    expect(await elsewhere.loops.detach({ device })).toEqual({ detached: true });
    expect(behind(path)).toBe('');
    expect(await client.loops.list()).toEqual([]);
  }, 60_000);

  it('of anybody else are never touched', async () => {
    const path = newImage('foreign.img');
    const args = ['--find', '--show', path];
    const device = execFileSync('losetup', args, { encoding: 'utf8' }).trim();
    try {
      expect(await codeOf(client.loops.detach({ device }))).toBe('loop.not-ours');
      expect(await codeOf(client.loops.detach({ device: '/dev/loop999' }))).toBe('loop.not-ours');
      // A note of a dead owner that names the foreign device, and one that names it with another image.
      const owner = { pid: 1, startTicks: 1, bootId: 'none' };
      const note = { version: 1, owner, device, imagePath: path, backingFile: path };
      mkdirSync(lab.paths.loops, { recursive: true });
      const notePath = join(lab.paths.loops, '0123456789ab.json');
      writeFileSync(notePath, JSON.stringify(note));
      expect(await codeOf(client.loops.detach({ device }))).toBe('loop.left-behind');
      writeFileSync(notePath, JSON.stringify({ ...note, backingFile: '/other.img' }));
      expect(await codeOf(client.loops.detach({ device }))).toBe('loop.not-ours');
      expect(behind(path)).toContain(device);
      rmSync(notePath);
    } finally {
      execFileSync('losetup', ['--detach', device]);
    }
  }, 60_000);

  it('leave nothing when their holder is killed, and what is left is offered', async () => {
    const path = newImage('killed.img');
    const third = await makeLab();
    const { device } = await third.loops.attach({
      path,
      sectorBytes: 512,
      directIo: true,
      readOnly: false,
    });
    const [name = ''] = readdirSync(lab.paths.loops);
    const notePath = join(lab.paths.loops, name);
    const note = JSON.parse(readFileSync(notePath, 'utf8')) as { owner: { pid: number } };
    expect(note.owner.pid).toBe(process.pid);
    // As a killed process leaves it: the device cleared, the note still there, its owner gone.
    await third.close();
    expect(behind(path)).toBe('');
    const owner = { ...note.owner, startTicks: 1 };
    writeFileSync(notePath, JSON.stringify({ ...note, owner }));
    const plain = join(lab.paths.images, '.diolab-plain-0123456789ab');
    const young = join(lab.paths.images, '.diolab-plain-ba9876543210');
    const other = join(lab.paths.images, '.diolab-plain-of-somebody');
    for (const each of [plain, young, other]) writeFileSync(each, 'x');
    for (const each of [plain, other]) utimesSync(each, 1, 1);
    const leftovers = await client.loops.leftovers();
    expect(leftovers.map(({ kind, path: at }) => [kind, at])).toEqual([
      ['loop-note', notePath],
      ['plain-file', plain],
    ]);
    expect(leftovers[0]?.text).toContain(device);
    expect(await codeOf(client.loops.removeLeftover({ path: other }))).toBe('leftover.unknown');
    expect(await codeOf(client.loops.removeLeftover({ path }))).toBe('leftover.unknown');
    for (const each of leftovers) await client.loops.removeLeftover({ path: each.path });
    expect(await client.loops.leftovers()).toEqual([]);
    expect([existsSync(plain), existsSync(young), existsSync(other)]).toEqual([false, true, true]);
    for (const each of [young, other]) rmSync(each);
  }, 60_000);

  const verify = async (
    path: string,
    runId: string | null = null,
    events: VerifyEvent[] = [],
    partition: number | null = null,
  ): Promise<VerifyResult> => {
    for await (const event of await client.verify.run({ path, runId, partition })) {
      events.push(event);
      if (event.kind === 'done') return event.result;
    }
    throw new Error('the verification did not end');
  };

  it.each(['ext2', 'ext4'])(
    'finds %s the same after a run, and keeps that with it',
    async (id) => {
      const path = join(lab.paths.images, `verify-${id}.img`);
      const base = experimentOf(`verify ${id}`, {
        jobs: [jobOf({ rw: 'randwrite', sizeBytes: 3 * MIB + 512, direct: true })],
      });
      const target = {
        ...base.target,
        device: { id: 'image-file', options: { path } },
        fileSystem: { id, options: {} },
        filePath: '/data',
        fileSizeBytes: 5 * MIB,
        create: { sizeBytes: 32 * MIB },
        consentToWrite: true,
      };
      const { runId } = await client.runs.start({ ...base, target });
      for await (const event of await client.runs.watch({ runId })) {
        if (event.kind === 'ended') expect(event.failure).toBeNull();
      }
      const events: VerifyEvent[] = [];
      const result = await verify(path, runId, events);
      expect(result.fsck.state, result.fsck.text).toBe('clean');
      expect(result.comparison).toMatchObject({ state: 'equal', files: 1, bytes: 5 * MIB });
      expect(events.map((event) => (event.kind === 'progress' ? event.phase : ''))).toContain(
        'fsck',
      );
      expect((await client.runs.get({ runId })).verify).toEqual(result);
      const [entry] = await client.runs.list();
      expect(entry?.verify).toEqual(result);
      expect(await codeOf(verify(newImage('another.img'), runId))).toBe('verify.other-image');
      expect(behind(path)).toBe('');
    },
    60_000,
  );

  it('shows what the host kernel did on a loop device, in pages, compared, and as blkparse text', async () => {
    const path = newImage('traced.img', 32 * MIB);
    const base = experimentOf('traced', { jobs: [jobOf({ rw: 'randwrite', sizeBytes: MIB })] });
    const target = {
      ...base.target,
      device: { id: 'loop', options: { path } },
      fileSystem: { id: 'raw', options: {} },
      filePath: null,
      fileSizeBytes: null,
      create: null,
      consentToWrite: true,
    };
    const trace = { level: 'full', rowsMax: 100_000 } as const;
    const { runId } = await client.runs.start({ ...base, target, trace });
    for await (const event of await client.runs.watch({ runId })) {
      if (event.kind === 'ended') expect(event.failure).toBeNull();
    }
    const all = await client.runs.trace({ runId, from: 0, count: 10_000, kinds: null });
    expect(all.rows.map(({ index }) => index)).toEqual([...all.rows.keys()]);
    const kinds = ['dispatch'] as const;
    const dispatched = await client.runs.trace({ runId, from: 1, count: 5, kinds: [...kinds] });
    const expected = all.rows.filter(({ kind }) => kind === 'dispatch');
    expect(dispatched.totalRows).toBe(expected.length);
    expect(dispatched.rows).toEqual(expected.slice(1, 6));
    const queued = all.rows.filter(({ kind }) => kind === 'kernel-queue');
    const comparison = await client.runs.kernelComparison({ runId });
    const text = await (
      await services.bulk.handle(
        new Request(`http://lab/bulk/runs/${runId}/export?format=blkparse`),
      )
    ).text();
    const lines = text.trimEnd().split('\n');
    expect(lines.filter((line) => / D +\S+ \d+ \+ \d+ \[engine\]$/.test(line))).toHaveLength(
      expected.length,
    );
    // Where this kernel has no tracefs for us, there are no rows of it, and that is said.
    if (queued.length === 0) {
      expect(comparison).toBeNull();
      return;
    }
    expect(comparison).toMatchObject({ predicted: expected.length, actual: queued.length });
    // Every write. The flush at the end is one only where the device has a cache to flush.
    expect(comparison?.equal).toBeGreaterThanOrEqual(MIB / 4096);
    expect(comparison?.onlyActual).toEqual([]);
    expect(text).toMatch(/ 7,\d+ .* Q +W\S* \d+ \+ \d+ \[kernel\]\n/);
  }, 60_000);

  it('leaves links and special files alone, and reads names that are no text', async () => {
    const path = newImage('odd.img', 32 * MIB);
    const tree = join(lab.paths.data, 'odd');
    mkdirSync(join(tree, 'sub'), { recursive: true });
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/sub/bad-`), Buffer.from([0xff, 0xe4])]), 'a');
    writeFileSync(join(tree, 'sub/ä long name'), Buffer.alloc(MIB + 1, 5));
    execFileSync('ln', ['-s', '/etc/passwd', join(tree, 'link')]);
    execFileSync('ln', ['-s', '../../../..', join(tree, 'sub/up')]);
    execFileSync('mkfifo', [join(tree, 'fifo')]);
    execFileSync('mkfs.ext4', ['-q', '-d', tree, path]);
    const { comparison } = await verify(path);
    expect(comparison).toMatchObject({ state: 'equal', files: 2, bytes: MIB + 2 });
    expect(comparison.text).toContain('3 links and devices left out');
  }, 60_000);

  it('does fsck alone where the helper mounts nothing, and says so', async () => {
    const { comparison, fsck } = await verify(newImage('nothing.img'));
    expect(comparison).toMatchObject({ state: 'not-run', firstDifference: null });
    expect(comparison.text).toContain('no file system');
    expect(fsck.state).toBe('not-run');
    const fat = newImage('fat.img');
    execFileSync('mkfs.fat', [fat]);
    const verified = await verify(fat);
    expect(verified.fsck.state).toBe('clean');
    expect(verified.comparison.state).toBe('not-run');
    expect(verified.comparison.text).toContain('This is fat');
  }, 60_000);

  it('verifies a partition by a copy of it', async () => {
    const inner = newImage('inner.img', 16 * MIB);
    const tree = join(lab.paths.data, 'partitioned');
    mkdirSync(tree);
    writeFileSync(join(tree, 'file'), Buffer.alloc(5000, 9));
    execFileSync('mkfs.ext4', ['-q', '-d', tree, inner]);
    const path = newImage('disk.img', 18 * MIB);
    // One entry of an MBR: Linux (0x83), from sector 2048 on.
    const table = Buffer.alloc(512);
    table[446 + 4] = 0x83;
    table.writeUInt32LE(2048, 446 + 8);
    table.writeUInt32LE((16 * MIB) / 512, 446 + 12);
    table.writeUInt16LE(0xaa55, 510);
    const fd = openSync(path, 'r+');
    writeSync(fd, table, 0, table.length, 0);
    writeSync(fd, readFileSync(inner), 0, 16 * MIB, MIB);
    closeSync(fd);
    const result = await verify(path, null, [], 1);
    expect(result).toMatchObject({
      partition: 1,
      fsck: { state: 'clean' },
      comparison: { state: 'equal', files: 1, bytes: 5000 },
    });
    expect(readdirSync(lab.paths.cache).filter((name) => name.includes('tmp'))).toEqual([]);
  }, 60_000);

  it('tells damage, also where nothing can be read any more', async () => {
    const path = newImage('damaged.img', 32 * MIB);
    execFileSync('mkfs.ext2', ['-q', path]);
    const debugfs = (request: string): void => {
      execFileSync('debugfs', ['-w', '-R', request, path], { stdio: 'ignore' });
    };
    debugfs('set_inode_field lost+found links_count 9');
    const { fsck, comparison } = await verify(path);
    expect(fsck.state).toBe('damaged');
    expect(fsck.output).toContain('ref count is 9');
    expect(comparison.state).toBe('equal');
    debugfs('clri <2>');
    const second = await verify(path);
    expect(second.fsck.state).toBe('damaged');
    expect(second.comparison.state).not.toBe('equal');
    expect(behind(path)).toBe('');
  }, 60_000);

  it('names the first difference to the byte, and every kind of difference', () => {
    const path = newImage('differs.img', 32 * MIB);
    const tree = join(lab.paths.data, 'differs');
    mkdirSync(join(tree, 'folder'), { recursive: true });
    writeFileSync(join(tree, 'file'), Buffer.alloc(3 * MIB, 0x41));
    execFileSync('mkfs.ext4', ['-q', '-d', tree, path]);
    const ports = nativePorts();
    const place = { path, partition: null };
    const compare = (change: (part: TransferPart) => TransferPart | null): MountedComparison => {
      const tools: WorkbenchTools = {
        ...workbenchTools,
        getTree: (first, second, file, onPart) =>
          workbenchTools.getTree(first, second, file, (part) => {
            const changed = change(part);
            if (changed !== null) onPart(changed);
          }),
        preview: (...ask) => {
          const found = workbenchTools.preview(...ask);
          const bytes = found.bytes.slice();
          bytes[777] = 0x42;
          return { ...found, bytes };
        },
      };
      return compareMounted(tools, ports, { place, mountedPath: path }, () => undefined);
    };
    try {
      expect(compare((part) => part)).toMatchObject({ files: 1, bytes: 3 * MIB, first: null });
      let seen = 0;
      const flipped = compare((part) => {
        if (part.kind !== 'bytes') return part;
        seen += part.bytes.length;
        // The second MiB, whichever parts it comes in.
        if (seen > MIB && seen <= 2 * MIB) part.bytes[777 % part.bytes.length] = 0x42;
        return part;
      });
      expect(flipped.first).toEqual({
        file: '/file',
        offsetBytes: MIB + 777,
        what: 'the kernel reads 0x41, the engine 0x42',
      });
      const left = compare((part) =>
        part.kind === 'folder' && part.path === 'folder' ? null : part,
      );
      expect(left.first).toMatchObject({
        file: '/folder',
        what: 'the engine has no such entry',
      });
      const extra = compare((part) =>
        part.kind === 'folder' && part.path === 'folder' ? { ...part, path: 'other' } : part,
      );
      expect(extra.differences).toBe(2);
      const shorter = compare((part) =>
        part.kind === 'bytes' ? { ...part, bytes: part.bytes.subarray(1) } : part,
      );
      expect(shorter.first).toMatchObject({ file: '/file', offsetBytes: null });
      const stop = new HostError({ code: 'call.aborted', message: 'enough' });
      expect(() =>
        compareMounted(workbenchTools, ports, { place, mountedPath: path }, () => {
          throw stop;
        }),
      ).toThrow('enough');
    } finally {
      closeHelperSession();
    }
    expect(behind(path)).toBe('');
  }, 60_000);
});

describeUnless(missing, 'loop devices in the terminal', () => {
  let cli: CliLab;
  let helper: ReturnType<typeof useHelper> | null = null;
  let path = '';
  beforeAll(() => {
    helper = useHelper();
    cli = new CliLab();
    path = cli.path('disk.img');
    writeFileSync(path, '');
    truncateSync(path, 16 * MIB);
  });
  afterAll(() => {
    helper?.dispose();
    cli.dispose();
  });
  const attached = async (...words: string[]): Promise<{ cli: RunningCli; device: string }> => {
    const running = cli.start('loop', 'attach', path, '--json', ...words);
    const found = await waitFor(() => {
      if (running.child.exitCode !== null) throw new Error(running.errors());
      return running.out().includes('\n') ? running.out() : null;
    }, 60_000);
    return { cli: running, device: (JSON.parse(found) as LoopDeviceInfo).device };
  };
  const isBehind = (): boolean => execFileSync('losetup', ['-j', path]).length > 0;

  it('are kept in the foreground, seen and detached from another terminal', async () => {
    const first = await attached('--sector-size', '4096');
    expect(isBehind()).toBe(true);
    const listed = JSON.parse((await cli.run('loop', 'list', '--json')).out) as {
      devices: LoopDeviceInfo[];
    };
    expect(listed.devices).toMatchObject([
      { device: first.device, sectorBytes: 4096, owner: 'elsewhere', pid: first.cli.child.pid },
    ]);
    const again = await cli.run('loop', 'attach', path);
    expect(again.code).toBe(77);
    expect(again.errors).toContain(first.device);
    const detached = await cli.run('loop', 'detach', path);
    expect(detached).toMatchObject({ code: 0, out: `${first.device} was detached.\n` });
    expect((await first.cli.ended).code).toBe(0);
    expect(isBehind()).toBe(false);
    expect((await cli.run('loop', 'detach', path)).code).toBe(66);
    expect((await cli.run('loop', 'detach', first.device)).code).toBe(77);
  }, 120_000);

  it('go at Ctrl+C, and when the terminal is killed, which leaves a note to clean', async () => {
    const second = await attached();
    second.cli.child.kill('SIGINT');
    const ended = await second.cli.ended;
    expect(ended.code, ended.errors).toBe(0);
    expect(isBehind()).toBe(false);
    const third = await attached('--read-only', '--no-direct-io');
    third.cli.child.kill('SIGKILL');
    await third.cli.ended;
    await waitFor(() => (isBehind() ? null : true));
    const list = await cli.run('loop', 'list');
    expect(list.out).toContain(`kept ${third.device} over ${path}`);
    expect((await cli.run('loop', 'clean')).out).toContain('Removed ');
    expect((await cli.run('loop', 'list')).out).toBe('');
  }, 120_000);

  it('verify says what it found, and exits with 1 on damage', async () => {
    execFileSync('mkfs.ext4', ['-q', '-F', path]);
    const clean = await cli.run('verify', path, '--json');
    expect(clean.code, clean.errors).toBe(0);
    expect(JSON.parse(clean.out)).toMatchObject({
      fsck: { state: 'clean' },
      comparison: { state: 'equal' },
    });
    const request = 'set_inode_field lost+found links_count 9';
    execFileSync('debugfs', ['-w', '-R', request, path], { stdio: 'ignore' });
    const damaged = await cli.run('verify', path);
    expect(damaged.code).toBe(1);
    expect(damaged.out).toContain('fsck: damaged');
    expect((await cli.run('verify', path, '--run', 'last')).code).toBe(66);
    expect((await cli.run('verify', cli.path('none.img'))).code).toBe(66);
  }, 120_000);
});
