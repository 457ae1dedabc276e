// SPDX-License-Identifier: GPL-2.0-only
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EXPERIMENT_BYTES_MAX, experimentFormatOf } from '../contract/window.ts';
import { saveDialog } from './dialogs.ts';
import { pathsInArguments, readDocument } from './documents.ts';
import { parseRecent, RECENT_MAX, RecentDocuments } from './recent.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-documents-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('words of the command line', () => {
  it('are files where they are neither the program nor a switch nor an address', () => {
    const words = ['/opt/diolab', '--no-sandbox', '-x', 'app://lab/', '', 'a.diolab', '/b/c.img'];
    expect(pathsInArguments(words, '/home/x', true)).toEqual(['/home/x/a.diolab', '/b/c.img']);
    expect(pathsInArguments(['electron', '.', 'a.fio'], '/w', false)).toEqual(['/w/a.fio']);
    expect(pathsInArguments(['x', 'file:///a%20b.diolab', 'file://other/c'], '/', true)).toEqual([
      '/a b.diolab',
    ]);
  });
});

describe('a document', () => {
  it('is what its ending says', () => {
    const names = ['a.diolab', 'b.YML', 'c.yaml', 'd.fio', 'e.job', 'f.img', 'g', '/x.yaml/h'];
    expect(names.map(experimentFormatOf)).toEqual([
      'yaml', 'yaml', 'yaml', 'fio', 'fio', null, null, null,
    ]); // prettier-ignore
  });
  it('comes with its text where it is an experiment, by its path where it is an image', () => {
    const experiment = join(folder, 'a.diolab');
    writeFileSync(experiment, 'name: a\n');
    expect(readDocument(experiment)).toEqual({
      kind: 'experiment', path: experiment, name: 'a.diolab', text: 'name: a\n', format: 'yaml',
    }); // prettier-ignore
    const image = join(folder, 'a.img');
    writeFileSync(image, 'x');
    expect(readDocument(image)).toEqual({ kind: 'image', path: image });
  });
  it('is refused with a reason where it is not there, no file, or too large', () => {
    const large = join(folder, 'large.diolab');
    writeFileSync(large, '');
    truncateSync(large, EXPERIMENT_BYTES_MAX + 1);
    mkdirSync(join(folder, 'folder.diolab'));
    const fifo = join(folder, 'pipe.diolab');
    execFileSync('mkfifo', [fifo]);
    const missing = join(folder, 'none.img');
    expect(readDocument(missing)).toMatchObject({ kind: 'refused' });
    expect(JSON.stringify(readDocument(missing))).toContain('ENOENT');
    expect(JSON.stringify(readDocument(join(folder, 'folder.diolab')))).toContain('is not a file');
    expect(JSON.stringify(readDocument(fifo))).toContain('is not a file');
    expect(JSON.stringify(readDocument(large))).toContain('1000001 bytes');
  });
});

describe('the recent documents', () => {
  it('are the newest first, once each, at most ten, and are kept', () => {
    const told: number[] = [];
    const file = join(folder, 'recent.json');
    const recent = new RecentDocuments(file, (paths) => told.push(paths.length));
    for (let index = 0; index < 12; index += 1) recent.add(`/image-${String(index)}`);
    recent.add('/image-5');
    expect(recent.paths).toHaveLength(RECENT_MAX);
    expect(recent.paths.slice(0, 2)).toEqual(['/image-5', '/image-11']);
    recent.drop('/image-11');
    expect(new RecentDocuments(file, () => undefined).paths).toEqual(recent.paths);
    recent.clear();
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual([]);
    expect(told.at(-1)).toBe(0);
  });
  it('of a damaged file are none, and odd entries are left out', () => {
    expect(parseRecent('{')).toEqual([]);
    expect(parseRecent('{"a":1}')).toEqual([]);
    expect(parseRecent('["/a","b",7,null,"/a","/c"]')).toEqual(['/a', '/c']);
  });
});

it('the save dialog offers the ending of what is saved', () => {
  expect(saveDialog('run.parquet').filters[0]).toEqual({
    name: 'Table (Parquet)',
    extensions: ['parquet'],
  });
  expect(saveDialog('run').filters).toHaveLength(1);
});
