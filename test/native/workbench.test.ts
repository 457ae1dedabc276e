// SPDX-License-Identifier: GPL-2.0-only
/** The image workbench behind the contract, on real images: the built engine in its own process, the host's own checkers as judges. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bulkImageFilePath, bulkUploadPath } from '../../main/contract/bulk.ts';
import type { LayoutRecipe, TransferEvent } from '../../main/contract/index.ts';
import type { LabClient } from '../../main/contract/client.ts';
import { hostErrorOf } from '../../main/contract/client.ts';
import { forkEngine } from '../../main/host/spawn.ts';
import { makeServices, type Services } from '../../main/services/index.ts';
import { clientInProcess } from '../../main/services/router.ts';
import { buildRealEngine } from '../support/engine/build.ts';
import { experimentOf, jobOf } from '../support/engine/samples.ts';
import { openTestLab, type TestLab } from '../support/engine/lab.ts';
import { describeWith } from '../support/tools.ts';

const MIB = 1024 * 1024;
let lab: TestLab;
let services: Services;
let client: LabClient;

beforeAll(async () => {
  lab = await openTestLab(buildRealEngine);
  services = await makeServices({
    face: 'terminal',
    version: '0.0.0',
    paths: lab.paths,
    engineEntryPath: lab.engine.entryPath,
    spawn: forkEngine,
  });
  client = clientInProcess(services);
}, 120_000);
afterAll(async () => {
  await services.close();
  await lab.dispose();
});

const refusalOf = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
  } catch (error) {
    return hostErrorOf(error).code;
  }
  return 'not refused';
};
const isSound = (path: string): void => {
  execFileSync('e2fsck', ['-fn', path], { stdio: 'pipe' });
};
async function makeImage(
  name: string,
  fileSystemId = 'ext2',
  sizeBytes = 32 * MIB,
): Promise<string> {
  const path = join(lab.paths.images, name);
  await client.images.make({ path, name: null, sizeBytes, fileSystemId, options: {} });
  return path;
}
async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
const whole = (path: string) => ({ path, partition: null });

describeWith(['e2fsprogs'], 'the workbench on ext2', () => {
  it('tells facts, blocks and the start of a file', async () => {
    const path = await makeImage('look.img');
    const text = 'first line\nsecond line\n';
    await services.images.writeFile(path, '/text', once(Buffer.from(text)), false);
    const { fileSystemId, facts } = await client.images.stat({ ...whole(path), file: null });
    expect(fileSystemId).toBe('ext2');
    expect(facts.length).toBeGreaterThan(3);
    const ofFile = await client.images.stat({ ...whole(path), file: '/text' });
    expect(ofFile.facts.some(({ value }) => value.includes(String(text.length)))).toBe(true);
    const preview = await client.images.preview({
      ...whole(path),
      file: '/text',
      offsetBytes: 6,
      lengthBytes: 100,
    });
    expect(preview).toMatchObject({ sizeBytes: text.length, offsetBytes: 6, isText: true });
    expect(Buffer.from(preview.bytesBase64, 'base64').toString()).toBe(text.slice(6));
    const deviceBlock = preview.extents[0]?.deviceBlock ?? 0;
    const block = await client.images.block({ ...whole(path), block: deviceBlock });
    const image = readFileSync(path);
    const { offsetBytes } = block;
    expect(Buffer.from(block.bytesBase64, 'base64')).toEqual(
      image.subarray(offsetBytes, offsetBytes + 4096),
    );
    expect(await refusalOf(client.images.block({ ...whole(path), block: 2 ** 40 }))).toBe(
      'image.no-block',
    );
  });

  it('makes, renames and removes; refuses what is not there', async () => {
    const path = await makeImage('names.img');
    await client.images.makeFolder({ ...whole(path), folder: '/a', consent: false });
    await services.images.writeFile(path, '/a/one', once(Buffer.alloc(5000, 1)), false);
    await client.images.renameEntry({ ...whole(path), from: '/a/one', to: '/two', consent: false });
    const names = async (folder: string) =>
      (await client.images.entries({ path, folder })).map(({ name }) => name);
    expect(await names('/a')).toEqual([]);
    expect(await names('/')).toContain('two');
    const remove = (file: string) =>
      client.images.removeEntry({ ...whole(path), file, consent: false });
    expect(await remove('/two')).toEqual({ removed: 1 });
    expect(await refusalOf(remove('/two'))).toBe('image.no-entry');
    expect(await refusalOf(remove('/'))).toBe('image.root');
    expect(await refusalOf(remove('/a/../b'))).toBe('image.bad-path');
    const inItself = client.images.renameEntry({
      ...whole(path),
      from: '/a',
      to: '/a/b',
      consent: false,
    });
    expect(await refusalOf(inItself)).toBe('image.into-itself');
    isSound(path);
  });

  it('checks, repairs after a snapshot, and restores', async () => {
    const path = await makeImage('sick.img');
    const healthy = await client.images.fsck({ ...whole(path), repair: false, consent: false });
    expect(healthy).toMatchObject({
      tool: 'e2fsck',
      exitCode: 0,
      state: 'clean',
      snapshotId: null,
    });
    expect(healthy.version).toMatch(/^\d+\.\d+/);
    expect(healthy.command).toContain('-n');
    // The bitmap of blocks of the first group says that all are free: its descriptor starts with its place.
    const bytes = readFileSync(path);
    const bitmap = bytes.readUInt32LE(4096) * 4096;
    bytes.fill(0, bitmap, bitmap + 4096);
    writeFileSync(path, bytes);
    const sick = await client.images.fsck({ ...whole(path), repair: false, consent: false });
    expect(sick.state).toBe('damaged');
    const repaired = await client.images.fsck({ ...whole(path), repair: true, consent: false });
    expect(repaired).toMatchObject({ state: 'repaired', meaning: 'errors were corrected' });
    isSound(path);
    const id = repaired.snapshotId ?? '';
    expect((await client.images.snapshots({ path })).map((one) => one.id)).toEqual([id]);
    const kept = await client.images.restoreSnapshot({ id, consent: false });
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect((await client.images.probe({ path })).madeByLab).toBe(true);
    await client.images.restoreSnapshot({ id: kept.id, consent: false });
    isSound(path);
    expect(await client.images.removeSnapshot({ id })).toEqual({ removed: true });
    expect(await client.images.removeSnapshot({ id })).toEqual({ removed: false });
    expect(await refusalOf(client.images.restoreSnapshot({ id: '../../etc', consent: true }))).toBe(
      'snapshot.unknown',
    );
  });

  it('asks for consent before it changes what the lab did not make', async () => {
    const path = join(lab.paths.images, 'foreign.img');
    execFileSync('mke2fs', ['-q', '-t', 'ext2', path, '8m'], { stdio: 'pipe' });
    const place = { ...whole(path), consent: false };
    const folder = client.images.makeFolder({ ...place, folder: '/a' });
    expect(await refusalOf(folder)).toBe('image.consent');
    expect(await refusalOf(client.images.removeEntry({ ...place, file: '/lost+found' }))).toBe(
      'image.consent',
    );
    expect(await refusalOf(client.images.fsck({ ...place, repair: true }))).toBe('image.consent');
    expect(await refusalOf(client.images.forget({ path, alsoDelete: true }))).toBe('image.consent');
    await client.images.makeFolder({ ...whole(path), folder: '/a', consent: true });
    isSound(path);
  });

  it('a deleted image can be had back', async () => {
    const path = await makeImage('gone.img');
    const before = readFileSync(path);
    const { deleted, snapshotId } = await client.images.forget({ path, alsoDelete: true });
    expect(deleted).toBe(true);
    expect(await refusalOf(client.images.probe({ path }))).toBe('image.missing');
    await client.images.restoreSnapshot({ id: snapshotId ?? '', consent: false });
    expect(readFileSync(path).equals(before)).toBe(true);
    expect((await client.images.probe({ path })).madeByLab).toBe(true);
  });
});

/** Runs a transfer to its end. */
async function endOf(
  stream: Promise<AsyncIterable<TransferEvent>>,
): Promise<TransferEvent & { kind: 'done' }> {
  let last: TransferEvent | null = null;
  for await (const event of await stream) last = event;
  if (last?.kind !== 'done') throw new Error('the transfer had no end');
  return last;
}
const layOut = (path: string, { files = [], ...recipe }: Partial<LayoutRecipe>) =>
  endOf(
    client.images.layOut({
      ...whole(path),
      recipe: { files: [...files], freePieceBytes: 0, seed: 7, ...recipe },
      consent: false,
    }),
  );

describeWith(['e2fsprogs'], 'copies in and out', () => {
  it('a folder there and back: content, holes, notes on what was left out', async () => {
    const path = await makeImage('tree.img', 'ext2', 64 * MIB);
    const source = join(lab.paths.images, '..', 'tree-source');
    mkdirSync(join(source, 'inner/deep'), { recursive: true });
    writeFileSync(join(source, 'empty'), '');
    writeFileSync(join(source, 'inner/odd'), Buffer.alloc(3 * MIB + 777, 'odd bytes '));
    const sparse = openSync(join(source, 'inner/deep/sparse'), 'w');
    writeSync(sparse, Buffer.alloc(8192, 1), 0, 8192, 4 * MIB);
    closeSync(sparse);
    truncateSync(join(source, 'inner/deep/sparse'), 12 * MIB + 5);
    symlinkSync('empty', join(source, 'link'));
    const put = await endOf(
      client.images.putFromHost({
        ...whole(path),
        hostPath: source,
        file: '/tree',
        consent: false,
      }),
    );
    expect(put).toMatchObject({ files: 3, bytes: 15 * MIB + 777 + 5 });
    expect(put.notes?.join()).toContain('link');
    const { extents } = await client.images.map({ path, file: '/tree/inner/deep/sparse' });
    const mapped = extents.filter(({ state }) => state === 'mapped');
    expect(mapped.reduce((sum, { count }) => sum + count, 0)).toBe(2);
    isSound(path);
    const target = `${source}-back`;
    const get = { ...whole(path), file: '/tree', hostPath: target, replace: false };
    expect(await endOf(client.images.getToHost(get))).toMatchObject({ files: 3 });
    for (const name of ['empty', 'inner/odd', 'inner/deep/sparse']) {
      expect(readFileSync(join(target, name)).equals(readFileSync(join(source, name))), name).toBe(
        true,
      );
    }
    expect(lstatSync(join(target, 'inner/deep/sparse')).blocks * 512).toBeLessThan(MIB);
    expect(await refusalOf(endOf(client.images.getToHost(get)))).toBe('output.exists');
    expect(await refusalOf(endOf(client.images.getToHost({ ...get, replace: true })))).toBe(
      'output.exists',
    );
    const again = client.images.putFromHost({
      ...whole(path),
      hostPath: source,
      file: '/tree',
      consent: false,
    });
    expect(await refusalOf(endOf(again))).toBe('image.exists');
  });

  it('given up half way, or without space, the image is as it was', async () => {
    const path = await makeImage('given-up.img', 'ext2', 64 * MIB);
    const old = Buffer.alloc(100_000, 'old ');
    await services.images.writeFile(path, '/file', once(old), false);
    const free = async () => (await client.images.probe({ path })).probe?.freeBytes;
    const before = await free();
    const source = join(lab.paths.images, '..', 'large');
    writeFileSync(source, Buffer.alloc(48 * MIB, 'large '));
    const put = (file: string) => ({ ...whole(path), hostPath: source, file, consent: false });
    for await (const event of await client.images.putFromHost(put('/file'))) {
      if (event.kind === 'progress' && event.doneBytes > 0) break;
    }
    expect(await free()).toBe(before);
    writeFileSync(source, Buffer.alloc(80 * MIB, 'larger '));
    expect(await refusalOf(endOf(client.images.putFromHost(put('/file'))))).toBe('image.no-space');
    expect(await refusalOf(endOf(client.images.putFromHost(put('/new'))))).toBe('image.no-space');
    expect(await free()).toBe(before);
    const target = `${source}-back`;
    const get = { ...whole(path), file: '/file', hostPath: target, replace: false };
    await endOf(client.images.getToHost(get));
    expect(readFileSync(target).equals(old)).toBe(true);
    expect((await client.images.entries({ path, folder: '/' })).map(({ name }) => name)).toEqual([
      'file',
      'lost+found',
    ]);
    isSound(path);
    const folder = readdirSync(join(lab.paths.images, '..'));
    expect(folder.filter((name) => name.endsWith('.part'))).toEqual([]);
    expect(existsSync(target)).toBe(true);
  });
});

describeWith(['e2fsprogs'], 'lays files out', () => {
  it('as many extents and holes as asked, the same with the same seed', async () => {
    const maps: unknown[] = [];
    for (const name of ['one.img', 'two.img']) {
      const path = await makeImage(name, 'ext2', 64 * MIB);
      const file = (at: string, extents: number, holes: number) =>
        ({ path: at, sizeBytes: 2 * MIB + 100, extents, holes, content: 'written' }) as const;
      const done = await layOut(path, {
        files: [file('/a/whole', 1, 0), file('/pieces', 16, 0), file('/holes', 9, 3)],
      });
      const map = (at: string) => client.images.map({ path, file: at });
      const pieces = await map('/pieces');
      const holes = await map('/holes');
      const data = (of: typeof pieces) =>
        of.extents.filter(({ deviceBlock }) => deviceBlock !== null);
      expect(data(pieces)).toHaveLength(16);
      expect(data(holes)).toHaveLength(9);
      expect(holes.extents.filter(({ state }) => state === 'hole')).toHaveLength(3);
      expect(pieces.sizeBytes).toBe(2 * MIB + 100);
      // A block map of ext2 lies between the data of a file of more than twelve blocks.
      expect(done.notes?.join('\n')).toMatch(/^\/a\/whole has \d extents, not the 1 asked for\.$/);
      const names = (await client.images.entries({ path, folder: '/' })).map((entry) => entry.name);
      expect(names).toEqual(['a', 'holes', 'lost+found', 'pieces']);
      isSound(path);
      maps.push(pieces, holes);
    }
    expect(maps.slice(0, 2)).toEqual(maps.slice(2));
  });

  it.each([
    ['ext4', 'e2fsck'],
    ['fat', 'fsck.fat'],
  ])('on %s as well', async (fileSystemId, checker) => {
    const path = await makeImage(`${fileSystemId}-pieces.img`, fileSystemId, 64 * MIB);
    const file = (at: string, extents: number) =>
      ({ path: at, sizeBytes: 2 * MIB, extents, holes: 0, content: 'written' }) as const;
    const done = await layOut(path, {
      files: [file('/whole', 1), file('/pieces', 20), file('/more', 100)],
      freePieceBytes: 131072,
    });
    expect(done.notes ?? []).toEqual([]);
    const figures = await client.images.fragmentation({ path, partition: null });
    expect(figures.worst.map(({ path: at, extents }) => [at, extents])).toEqual(
      expect.arrayContaining([
        ['/more', 100],
        ['/pieces', 20],
      ]),
    );
    expect(figures.largestFreeBytes).toBeLessThanOrEqual(2 * 131072);
    execFileSync(checker, checker === 'e2fsck' ? ['-fn', path] : ['-n', path]);
  });

  it('cuts free space; without room nothing stays', async () => {
    const path = await makeImage('pieces.img', 'ext2', 16 * MIB);
    await layOut(path, { freePieceBytes: 65536 });
    isSound(path);
    const groups = execFileSync('dumpe2fs', [path], { stdio: 'pipe' }).toString();
    const free = [...groups.matchAll(/^ {2}Free blocks: (.*)$/gm)]
      .map(([, list]) => list)
      .join(', ');
    const lengths = free.split(', ').map((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return last - first + 1;
    });
    expect(lengths.length).toBeGreaterThan(150);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(32);
    const large = {
      path: '/x/large',
      sizeBytes: 64 * MIB,
      extents: 4,
      holes: 0,
      content: 'written',
    } as const;
    const before = await client.images.probe({ path });
    expect(await refusalOf(layOut(path, { files: [large] }))).toBe('image.no-space');
    expect((await client.images.probe({ path })).probe?.freeBytes).toBe(before.probe?.freeBytes);
    isSound(path);
  });
});

describeWith(['e2fsprogs'], 'a run that changes an image', () => {
  it.each(['before', 'restore'] as const)('with snapshot: %s', async (snapshot) => {
    const path = await makeImage(`run-${snapshot}.img`);
    await services.images.writeFile(path, '/data', once(Buffer.alloc(MIB, 7)), false);
    const before = readFileSync(path);
    const base = experimentOf('writes', {
      jobs: [jobOf({ rw: 'randwrite', ioEngine: 'sync', ioDepth: 1, ioSizeBytes: MIB })],
    });
    const { runId } = await client.runs.start({
      ...base,
      target: {
        device: { id: 'image-file', options: { path } },
        fileSystem: { id: 'ext2', options: {} },
        filePath: '/data',
        fileSizeBytes: null,
        create: null,
        consentToWrite: false,
        snapshot,
      },
    });
    for await (const event of await client.runs.watch({ runId })) {
      if (event.kind === 'ended') expect(event).toMatchObject({ state: 'finished' });
    }
    const isSame = readFileSync(path).equals(before);
    const kept = await client.images.snapshots({ path });
    expect(isSame).toBe(snapshot === 'restore');
    expect(kept.map(({ note }) => note)).toEqual(
      snapshot === 'restore' ? [] : ['Before the run writes'],
    );
    const [first] = kept;
    if (first !== undefined) {
      await client.images.restoreSnapshot({ id: first.id, consent: false });
      expect(readFileSync(path).equals(before)).toBe(true);
    }
    isSound(path);
  });
});

it.each([
  ['ext4', ['e2fsprogs'], {}],
  ['ext2', ['e2fsprogs'], { blockSize: '1024', inodeSize: '128' }],
] as const)(
  "makes %s by the host's own mkfs, preallocated",
  async (fileSystemId, _tools, options) => {
    const { fileSystems } = await client.host.catalogue();
    const found = fileSystems.find(({ id }) => id === fileSystemId);
    if (found?.formatters?.includes('system') !== true) {
      expect(found?.formatters).toEqual(['lab']);
      return;
    }
    const path = join(lab.paths.images, `system-${fileSystemId}.img`);
    const ask = { path, name: null, sizeBytes: 16 * MIB, fileSystemId, options } as const;
    const info = await client.images.make({ ...ask, formatter: 'system', preallocate: true });
    expect(info).toMatchObject({ fileSystemId, refusal: null, madeByLab: true });
    expect(info.allocatedBytes).toBeGreaterThanOrEqual(16 * MIB);
    const other = {
      ...ask,
      path: `${path}2`,
      formatter: 'system',
      options: { unknown: 1 },
    } as const;
    expect(await refusalOf(client.images.make(other))).toBe('options.not-of-system');
  },
);

it('a checker that is missing is named with its package', async () => {
  const path = await makeImage('no-tool.img');
  const { findProgram, requireProgram } = await import('../../main/services/workbench/programs.ts');
  expect(findProgram('no-such-program-of-the-host')).toBeNull();
  expect(() => requireProgram('no-such-program-of-the-host', 'its-package')).toThrow(
    expect.objectContaining({
      code: 'host.missing-program',
      hint: expect.stringContaining('sudo apt install its-package') as string,
    }),
  );
  const raw = join(lab.paths.images, 'raw.img');
  await client.images.make({
    path: raw,
    name: null,
    sizeBytes: MIB,
    fileSystemId: 'raw',
    options: {},
  });
  const check = client.images.fsck({ ...whole(raw), repair: false, consent: false });
  expect(await refusalOf(check)).toBe('fsck.no-checker');
  expect(await client.images.usedBy({ path })).toEqual([]);
});

it('gives a file inside an image as a download', async () => {
  const path = await makeImage('download.img');
  const content = Buffer.alloc(9 * MIB + 77, 'some bytes ');
  await services.images.writeFile(path, '/a file', once(content), false);
  const ask = (query: string) => services.bulk.handle(new Request(`http://lab${query}`));
  const given = await ask(bulkImageFilePath(whole(path), '/a file'));
  expect(given.headers.get('content-disposition')).toBe('attachment; filename="a-file"');
  expect(Buffer.from(await given.arrayBuffer()).equals(content)).toBe(true);
  const gone = await ask(bulkImageFilePath(whole(path), '/none'));
  expect([gone.status, ((await gone.json()) as { code: string }).code]).toEqual([
    404,
    'image.no-entry',
  ]);
  expect((await ask('/bulk/images/get?path=/x')).status).toBe(400);
  expect((await ask(bulkImageFilePath({ path: 'x', partition: 3 }, '/f'))).status).toBe(400);
  // A reader that goes after the first piece holds nobody up.
  const half = await ask(bulkImageFilePath(whole(path), '/a file'));
  await half.body?.cancel();
  expect((await client.images.probe({ path })).refusal).toBeNull();
});

it('takes a file that a page sends, and nothing of one that breaks off', async () => {
  const path = await makeImage('upload.img');
  const content = Buffer.alloc(5 * MIB + 77, 'sent bytes ');
  const send = (query: string, body: BodyInit) =>
    services.bulk.handle(
      new Request(`http://lab${query}`, { method: 'POST', body, duplex: 'half' } as RequestInit),
    );
  const given = await send(bulkUploadPath(whole(path), '/sent', false), content);
  expect([given.status, await given.json()]).toEqual([200, { bytes: content.length }]);
  const back = await services.bulk.handle(
    new Request(`http://lab${bulkImageFilePath(whole(path), '/sent')}`),
  );
  expect(Buffer.from(await back.arrayBuffer()).equals(content)).toBe(true);
  const broken = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(100_000));
      controller.error(new Error('the page is gone'));
    },
  });
  expect((await send(bulkUploadPath(whole(path), '/half', false), broken)).status).not.toBe(200);
  const names = (await client.images.entries({ path, folder: '/' })).map(({ name }) => name);
  expect(names).toEqual(['lost+found', 'sent']);
  expect((await send('/bulk/images/put?path=/x', content)).status).toBe(400);
  const runs = await send('/bulk/runs/x', content);
  expect(runs.status).toBe(404);
  isSound(path);
});
