// SPDX-License-Identifier: GPL-2.0-only
/** The image workbench behind the contract, on real images: the built engine in its own process, the host's own checkers as judges. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LabClient } from '../../main/contract/client.ts';
import { hostErrorOf } from '../../main/contract/client.ts';
import { forkEngine } from '../../main/host/spawn.ts';
import { makeServices, type Services } from '../../main/services/index.ts';
import { clientInProcess } from '../../main/services/router.ts';
import { buildRealEngine } from '../support/engine/build.ts';
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
