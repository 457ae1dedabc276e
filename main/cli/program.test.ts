// SPDX-License-Identifier: GPL-2.0-only
/** Command lines against a recording session: what each asks of the services, prints, and exits with. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HostError } from '../../engine/base/index.ts';
import type { Explanation } from '../contract/types.ts';
import { errorText } from './errors.ts';
import { runProgram } from './program.ts';
import type { Session } from './session.ts';
import type { Terminal } from './terminal.ts';

interface Call {
  readonly name: string;
  readonly input: unknown;
}

const CATALOGUE = {
  fileSystems: [
    { id: 'raw', title: 'raw', canFormat: true, options: {} },
    {
      id: 'ext2',
      title: 'ext2',
      canFormat: true,
      options: { blockSizeBytes: { type: 'choice', choices: ['1024', '2048', '4096'] } },
    },
    { id: 'fat', title: 'FAT', canFormat: false, options: {} },
  ],
  revisions: [{ id: '6.5-merge' }, { id: '6.4' }, { id: '3.1' }],
};
const MAP = {
  blockSizeBytes: 4096,
  sizeBytes: 81_920,
  extents: [
    { fileBlock: 0, count: 12, deviceBlock: 520, state: 'mapped' },
    { fileBlock: 12, count: 4, deviceBlock: null, state: 'hole' },
    { fileBlock: 16, count: 4, deviceBlock: 600, state: 'mapped' },
  ],
};
const EXPLANATION: Explanation = {
  steps: [
    {
      title: 'Alignment',
      text: 'The offset is no multiple of 4096, but of 512.',
      site: 'fs/direct-io.c:__blockdev_direct_IO',
      values: { offset: 512, blockBits: 12 },
    },
  ],
  result: { ok: true, text: '4096 bytes were read.', returned: 4096 },
  alignment: {
    passes: true,
    unitBytes: 512,
    blockFactorBits: 3,
    text: 'Passes in units of 512 bytes.',
    offenders: ['offset'],
    nearest: [{ offsetBytes: 0, lengthBytes: 4096, memoryBytes: 0 }],
  },
  counters: { getBlockCalls: 2, bios: 1, bioBytes: 4096, zeroedBytes: 0 },
  trace: [],
  revision: '6.4',
};

const mapRow = (askedBlocks: number) => ({
  index: 0,
  kind: 'map',
  atNs: 0,
  dioId: 1,
  bioId: null,
  values: [0, askedBlocks, 0, 1, 8, askedBlocks],
});
const SUMMARY = {
  returned: 4096,
  completedWith: null,
  getBlockCalls: 1,
  bios: 1,
  bytesPerBio: 4096,
  zeroedBytes: 512,
  zeroed: { onDiskBytes: 512, inMemoryBytes: 0 },
  locks: ['inode lock'],
  waits: 2,
  leakedReferences: 0,
};
const COMPARISON = {
  runs: [
    {
      revision: '6.4',
      explanation: { ...EXPLANATION, trace: [mapRow(1)] },
      summary: SUMMARY,
      stopped: null,
    },
    {
      revision: '3.1',
      explanation: { ...EXPLANATION, trace: [mapRow(2)] },
      summary: { ...SUMMARY, returned: 'BUG: somewhere' },
      stopped: { what: 'BUG: somewhere', why: 'for a reason' },
    },
  ],
  differences: [
    null,
    {
      leftRow: 0,
      rightRow: 0,
      change: { revision: '3.1', what: 'Each segment is mapped.', reason: 'It was so.' },
    },
  ],
};
const EXHIBIT = {
  id: 'an-exhibit',
  title: 'A defect',
  question: 'Does it show?',
  setting: ['A file.'],
  oldRevision: '6.4',
  fixedRevision: '3.1',
};

describe('the command line', () => {
  let folder: string;
  let calls: Call[];
  let out: string;
  let errors: string;
  let abort: AbortController;
  let answers: Record<string, unknown>;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'diolab-cli-'));
    calls = [];
    out = '';
    errors = '';
    abort = new AbortController();
    answers = {
      'host.catalogue': CATALOGUE,
      'images.map': MAP,
      'images.entries': [
        { name: 'lost+found', kind: 'directory', sizeBytes: 4096, inodeNumber: 11 },
        { name: 'a.txt', kind: 'file', sizeBytes: 12, inodeNumber: 12 },
      ],
      'experiments.explain': EXPLANATION,
    };
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** A client that records every call and answers from the table; an Error in it is thrown. */
  const makeClient = (): Session['client'] => {
    const method = (name: string) => (input?: unknown) => {
      calls.push({ name, input });
      const answer = answers[name];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    };
    const group = (prefix: string): unknown =>
      new Proxy({}, { get: (_target, name) => method(`${prefix}.${String(name)}`) });
    return new Proxy({}, { get: (_target, name) => group(String(name)) }) as Session['client'];
  };
  const session: Session = {
    get client() {
      return makeClient();
    },
    makeImage: (ask, how) => {
      calls.push({ name: 'makeImage', input: { ...ask, replaceExisting: how.replaceExisting } });
      return Promise.resolve();
    },
    readFile: async (image, path, onData) => {
      calls.push({ name: 'readFile', input: { image, path } });
      if (answers['readFile'] instanceof Error) throw answers['readFile'];
      await onData(Buffer.from('hello '));
      await onData(Buffer.from('world'));
    },
    writeFile: async (image, path, content, consent) => {
      const pieces: Buffer[] = [];
      for await (const piece of content) pieces.push(Buffer.from(piece));
      const text = Buffer.concat(pieces).toString();
      calls.push({ name: 'writeFile', input: { image, path, text, consent } });
    },
    exportRun: async (runId, format, onData) => {
      calls.push({ name: 'exportRun', input: { runId, format } });
      await onData(Buffer.from('  0,0    0        1\n'));
    },
    close: () => Promise.resolve(),
  };
  const run = (...words: string[]): Promise<number> => {
    const terminal: Terminal = {
      version: '9.8.7',
      out: (data) => {
        out += typeof data === 'string' ? data : Buffer.from(data).toString();
        return Promise.resolve();
      },
      error: (text) => {
        errors += text;
      },
      isInteractive: false,
      columns: 80,
      hasColours: false,
      signal: abort.signal,
      endAtSignals: () => undefined,
      session: () => Promise.resolve(session),
    };
    return runProgram(terminal, words);
  };
  const refusal = async (...words: string[]): Promise<HostError> => {
    const thrown = await run(...words).then(
      () => null,
      (error: unknown) => error,
    );
    if (!(thrown instanceof HostError)) throw new Error(`not refused: ${words.join(' ')}`);
    return thrown;
  };

  describe('usage', () => {
    it('lists every command in its help, and asks nothing of the services', async () => {
      expect(await run('--help')).toBe(0);
      const names = [
        'run',
        'mkfs',
        'ls',
        'cat',
        'put',
        'get',
        'map',
        'explain',
        'compare',
        'gallery',
        'serve',
        'doctor',
      ];
      const kernels = ['grounds', 'loop', 'verify', 'runs', 'export', 'completion'];
      for (const name of [...names, ...kernels, 'conform', 'bench']) {
        expect(out).toMatch(new RegExp(`^  ${name} `, 'm'));
      }
      expect(out).toContain('130 interrupted');
      expect(calls).toEqual([]);
    });
    it('says its version', async () => {
      expect(await run('--version')).toBe(0);
      expect(out).toBe('9.8.7\n');
    });
    it.each([
      [['frobnicate']],
      [['run']],
      [['run', 'a', 'b']],
      [['run', 'a', '--output', 'xml']],
      [['mkfs', 'a.img', '--size', '1m']],
      [['mkfs', 'a.img', '--fs', 'ext2']],
      [['ls', 'a.img']],
      [['explain', 'a.img', '/f', '--op', 'erase', '--offset', '0', '--length', '1']],
      [['explain', 'a.img', '/f', '--op', 'read', '--offset', '0']],
      [['map', 'a.img', '/f', '--yaml']],
    ])('refuses %j with 64 and a way to the help', async (words) => {
      expect(await run(...words)).toBe(64);
      expect(errors).toMatch(/^error: /);
      expect(errors).toContain('diolab --help');
      expect(calls).toEqual([]);
    });
  });

  describe('mkfs', () => {
    it('makes an image with the block size under the module’s own name', async () => {
      expect(
        await run('mkfs', 'a.img', '--fs', 'ext2', '--size', '64m', '--block-size', '2k'),
      ).toBe(0);
      expect(calls.at(-1)).toEqual({
        name: 'makeImage',
        input: {
          path: resolve('a.img'),
          name: null,
          sizeBytes: 67_108_864,
          fileSystemId: 'ext2',
          options: { blockSizeBytes: '2048' },
          replaceExisting: false,
        },
      });
      expect(out).toContain('64 MiB (67108864 bytes)');
    });
    it('replaces only with --force', async () => {
      await run('mkfs', 'a.img', '--fs', 'raw', '--size', '1m', '--force');
      expect(calls.at(-1)?.input).toMatchObject({ replaceExisting: true });
    });
    it('names what would be right', async () => {
      const image = ['mkfs', 'a.img', '--size', '1m', '--fs'] as const;
      expect((await refusal(...image, 'ntfs')).hint).toMatch(/^One of: raw, ext2;/);
      expect(await refusal(...image, 'fat')).toMatchObject({
        code: 'usage.cannot-format',
        exitCode: 64,
      });
      expect(await refusal(...image, 'ext2', '--block-size', '8192')).toMatchObject({
        hint: 'One of: 1024, 2048, 4096.',
        exitCode: 64,
      });
      expect(await refusal(...image, 'raw', '--block-size', '4096')).toMatchObject({
        exitCode: 64,
      });
      expect(await refusal('mkfs', 'a.img', '--fs', 'ext2', '--size', 'big')).toMatchObject({
        code: 'usage.size',
        where: '--size',
        exitCode: 64,
      });
      expect(calls.filter(({ name }) => name === 'makeImage')).toEqual([]);
    });
  });

  describe('ls, map', () => {
    it('lists a folder', async () => {
      expect(await run('ls', 'a.img', '/')).toBe(0);
      expect(out).toBe('d 4096 lost+found/\n-   12 a.txt\n');
      const input = { path: resolve('a.img'), partition: null, folder: '/' };
      expect(calls.at(-1)?.input).toEqual(input);
      out = '';
      expect(await run('ls', 'a.img', '/', '-l', '--partition', '2')).toBe(0);
      expect(out).toBe('11 d 4096 lost+found/\n12 -   12 a.txt\n');
      expect(calls.at(-1)?.input).toEqual({ ...input, partition: 2 });
      expect(await refusal('ls', 'a.img', '/', '--partition', 'x')).toMatchObject({ exitCode: 64 });
    });
    it('prints extents in the columns of filefrag', async () => {
      expect(await run('map', 'a.img', '/f')).toBe(0);
      expect(out.split('\n')).toEqual([
        'File size of /f is 81920 (20 blocks of 4096 bytes)',
        ' ext:     logical_offset:        physical_offset: length:   expected: flags:',
        '   0:        0..      11:        520..       531:     12:',
        '   1:       12..      15:                      -:      4:             hole',
        '   2:       16..      19:        600..       603:      4:        532: last,eof',
        '/f: 2 extents found',
        '',
      ]);
    });
    it('prints the documented JSON', async () => {
      expect(await run('map', 'a.img', '/f', '--json')).toBe(0);
      expect(JSON.parse(out)).toEqual({
        blockSize: 4096,
        sizeBytes: 81_920,
        extents: MAP.extents,
      });
    });
  });

  describe('cat, put, get', () => {
    it('writes a file to standard output', async () => {
      expect(await run('cat', 'a.img', '/f')).toBe(0);
      expect(out).toBe('hello world');
    });
    const eventsOf = async function* (...events: unknown[]): AsyncGenerator<unknown> {
      for (const event of events) yield await Promise.resolve(event);
    };
    const progress = { kind: 'progress', file: '/f', doneBytes: 1, totalBytes: 2 };
    const done = { kind: 'done', files: 1, bytes: 7, notes: ['a link was left out'] };
    it('puts a file or a folder, hands consent on, and tells what was left out', async () => {
      const local = join(folder, 'local');
      writeFileSync(local, 'content');
      answers['images.putFromHost'] = eventsOf(progress, done);
      expect(await run('put', 'a.img', local, '/f', '--json')).toBe(0);
      const input = { path: resolve('a.img'), partition: null, hostPath: local, file: '/f' };
      expect(calls.at(-1)?.input).toEqual({ ...input, consent: false });
      expect(JSON.parse(out)).toEqual({ files: 1, bytes: 7 });
      expect(errors).toBe('diolab: a link was left out\n');
      answers['images.putFromHost'] = eventsOf(done);
      expect(await run('put', 'a.img', folder, '/f', '--consent')).toBe(0);
      expect(calls.at(-1)?.input).toEqual({ ...input, hostPath: folder, consent: true });
    });
    it('refuses to put what is not there', async () => {
      expect(await refusal('put', 'a.img', join(folder, 'none'), '/f')).toMatchObject({
        exitCode: 66,
      });
    });
    it('gets a file; replacing is asked for', async () => {
      const local = join(folder, 'got');
      answers['images.getToHost'] = eventsOf(done);
      expect(await run('get', 'a.img', '/f', local)).toBe(0);
      const input = { path: resolve('a.img'), partition: null, hostPath: local, file: '/f' };
      expect(calls.at(-1)?.input).toEqual({ ...input, replace: false });
      answers['images.getToHost'] = eventsOf(done);
      expect(await run('get', 'a.img', '/f', local, '--force')).toBe(0);
      expect(calls.at(-1)?.input).toEqual({ ...input, replace: true });
      answers['images.getToHost'] = new HostError({ code: 'x', message: 'no', exitCode: 74 });
      expect(await refusal('get', 'a.img', '/f', local)).toMatchObject({ code: 'x' });
    });
    it('ends where it is interrupted', async () => {
      abort.abort();
      await expect(run('cat', 'a.img', '/f')).rejects.toThrow(/abort/i);
      expect(out).toBe('');
    });
  });

  describe('the workbench', () => {
    it('lays files out in a new image', async () => {
      const words = ['mkfs', 'a.img', '--fs', 'ext2', '--size', '1m'];
      const layout = ['--layout', '/data:64k:extents=16,holes=4,unwritten', '--layout', '/b:1k'];
      expect(await run(...words, ...layout, '--free-pieces', '8k', '--seed', '5')).toBe(0);
      expect(calls.at(-1)?.input).toMatchObject({
        recipe: {
          files: [
            { path: '/data', sizeBytes: 65536, extents: 16, holes: 4, content: 'unwritten' },
            { path: '/b', sizeBytes: 1024, extents: 1, holes: 0, content: 'written' },
          ],
          freePieceBytes: 8192,
          seed: 5,
        },
      });
      expect(await refusal(...words, '--layout', 'data:1k')).toMatchObject({ exitCode: 64 });
      expect(await refusal(...words, '--option', 'none=1')).toMatchObject({
        code: 'usage.unknown-option',
      });
      expect(await run(...words, '--option', 'blockSizeBytes=2048', '--preallocate')).toBe(0);
      expect(calls.at(-1)?.input).toMatchObject({
        options: { blockSizeBytes: '2048' },
        preallocate: true,
      });
    });
    it('draws the whole image', async () => {
      answers['images.layout'] = {
        fileSystemId: 'ext2',
        blockSizeBytes: 1024,
        blockCount: 40,
        start: [0, 1, 30],
        count: [1, 29, 10],
        use: [5, 1, 0],
        inodeNumber: [0, 12, 0],
        fileBlock: [-1, 0, -1],
        owners: [],
      };
      expect(await run('map', 'a.img', '--width', '62')).toBe(0);
      expect(out.split('\n')).toEqual([
        'ext2, 40 blocks of 1024 bytes, 1 block a character',
        `         0  S${'#'.repeat(29)}${'.'.repeat(10)}`,
        '',
        '. free   # data   S superblock',
        '',
      ]);
    });
    it('fsck: the words of the tool, and its exit code', async () => {
      const result = {
        tool: 'e2fsck',
        version: '1.47',
        command: 'e2fsck -f -n a.img',
        exitCode: 4,
        meaning: 'errors were left uncorrected',
        state: 'damaged',
        output: 'Pass 1\n',
        elapsedMs: 3,
        snapshotId: null,
      };
      answers['images.fsck'] = result;
      expect(await run('fsck', 'a.img')).toBe(1);
      expect(out).toContain('e2fsck 1.47 ended with 4: errors were left uncorrected.');
      answers['images.fsck'] = { ...result, state: 'clean' };
      expect(await run('fsck', 'a.img', '--repair', '--consent')).toBe(0);
      expect(calls.at(-1)?.input).toMatchObject({ repair: true, consent: true });
    });
    it('shows a block with its fields, and leaves out what repeats', async () => {
      answers['images.block'] = {
        deviceBlock: 3,
        offsetBytes: 12288,
        bytesBase64: Buffer.concat([Buffer.from('hello'), Buffer.alloc(91)]).toString('base64'),
        description: {
          range: {},
          title: 'superblock',
          fields: [{ name: 's_x', offsetBytes: 16, lengthBytes: 4, value: '7', help: 'a count' }],
        },
        ownerPath: '/f',
      };
      expect(await run('block', 'a.img', '3')).toBe(0);
      expect(out).toContain('block 3 at byte 12288: superblock\nbelongs to /f\n');
      expect(out).toContain('000010 +4    s_x   7      a count');
      expect(out).toMatch(/000000 {2}68 65 6c 6c 6f 00.* {2}hello\.+\n000010.*\n\*\n000050/);
    });
    it('snapshots and names', async () => {
      answers['images.snapshot'] = { id: 'abcdef-01234567' };
      expect(await run('snapshot', 'make', 'a.img', '--note', 'before')).toBe(0);
      expect(out).toBe('abcdef-01234567\n');
      answers['images.removeSnapshot'] = { removed: false };
      expect(await run('snapshot', 'remove', 'abcdef-01234567')).toBe(66);
      expect(await run('mv', 'a.img', '/a', '/b', '--consent')).toBe(0);
      expect(calls.at(-1)).toMatchObject({
        name: 'images.renameEntry',
        input: { from: '/a', to: '/b', consent: true },
      });
      expect(await run('snapshot', 'frobnicate')).toBe(64);
    });
  });

  describe('compare', () => {
    const words = ['compare', 'a.img', '/f', '--op', 'read', '--offset', '0', '--length', '4k'];
    beforeEach(() => {
      answers['experiments.compare'] = COMPARISON;
    });
    it('asks for all revisions, or for those named, in that order', async () => {
      expect(await run(...words)).toBe(0);
      expect(calls.at(-1)).toMatchObject({
        name: 'experiments.compare',
        input: {
          revisions: ['6.5-merge', '6.4', '3.1'],
          request: { op: 'read', lengthBytes: 4096 },
        },
      });
      await run(...words, '--revisions', '3.1, 6.4');
      expect(calls.at(-1)?.input).toMatchObject({ revisions: ['3.1', '6.4'] });
    });
    it('prints a table, the change that makes the difference, and both traces there', async () => {
      await run(...words);
      const lines = out.split('\n');
      expect(lines[0]).toMatch(/^revision +returned +completed +get_block +bios +bytes\/bio/);
      expect(lines[1]).toMatch(/^6\.4 +4096 +- +1 +1 +4 KiB +512 B +0 B +2 +0 +inode lock$/);
      expect(out).toContain('3.1 stops: BUG: somewhere: for a reason.');
      expect(out).toContain('  3.1: Each segment is mapped. It was so.');
      expect(out).toMatch(/> map fileBlock=0 askedBlocks=1.* {2,}map fileBlock=0 askedBlocks=2/);
      expect(out).toContain('(stops: BUG: somewhere)');
    });
    it('prints JSON, and refuses a revision that is not there', async () => {
      await run(...words, '--json');
      expect(JSON.parse(out)).toEqual(COMPARISON);
      expect(await refusal(...words, '--revisions', '6.4,5.0')).toMatchObject({
        where: '--revisions',
        exitCode: 64,
      });
    });
  });

  describe('gallery', () => {
    beforeEach(() => {
      answers['gallery.list'] = [EXHIBIT];
      answers['gallery.run'] = {
        exhibit: EXHIBIT,
        comparison: COMPARISON,
        observed: ['It shows.', 'It does not.'],
        answer: ['Because it was so.'],
        content: [
          {
            revision: '6.4',
            of: 'disk',
            runs: [{ offsetBytes: 0, lengthBytes: 4096, what: 'stale' }],
          },
        ],
      };
    });
    it('lists what there is', async () => {
      expect(await run('gallery')).toBe(0);
      expect(out).toBe('an-exhibit  A defect (6.4, 3.1)\n            Does it show?\n');
      expect(await run('gallery', '--json')).toBe(0);
    });
    it('runs one, and prints question, observations and answer', async () => {
      expect(await run('gallery', 'an-exhibit')).toBe(0);
      expect(calls.at(-1)).toEqual({ name: 'gallery.run', input: { id: 'an-exhibit' } });
      expect(out).toMatch(/Does it show\?[^]*6\.4\n {2}It shows\.\n {2}disk: 4 KiB stale/);
      expect(out).toMatch(/3\.1\n {2}It does not\.\n\n {2}Because it was so\./);
    });
  });

  describe('explain', () => {
    it('takes one request of at most 16 MiB', async () => {
      const words = ['explain', 'a.img', '--op', 'read', '--offset', '0', '--length'] as const;
      expect(await run(...words, '16m')).toBe(0);
      expect(await refusal(...words, '16777217')).toMatchObject({
        hint: 'At most 16 MiB.',
        exitCode: 64,
      });
    });
    const words = ['--op', 'read', '--offset', '512', '--length', '4k'] as const;
    it('asks about a file with the revision that a run takes', async () => {
      expect(
        await run(
          ...['explain', 'a.img', '/f', ...words],
          ...['--memory-offset', '16', '--async', '--partition', '3'],
        ),
      ).toBe(0);
      expect(calls.at(-1)?.input).toMatchObject({
        op: 'read',
        offsetBytes: 512,
        lengthBytes: 4096,
        memoryOffsetBytes: 16,
        isAsync: true,
        revision: '6.4',
        target: {
          device: { id: 'image-file', options: { path: resolve('a.img') } },
          partition: 3,
          fileSystem: { id: 'auto' },
          filePath: '/f',
        },
      });
      expect(out).toContain(' 1. Alignment\n');
      expect(out).toContain('at fs/direct-io.c:__blockdev_direct_IO');
      expect(out).toContain('passes:  offset 0, length 4096, memory 0');
      expect(out).toContain('counters   2 get_block calls, 1 bio of 4 KiB, 0 B zeroed\n');
    });
    it('asks about the whole image without a path, and prints JSON', async () => {
      expect(await run('explain', 'a.img', ...words, '--revision', '3.1', '--json')).toBe(0);
      expect(calls.at(-1)?.input).toMatchObject({
        revision: '3.1',
        target: { fileSystem: { id: 'raw' }, filePath: null },
      });
      expect(JSON.parse(out)).toEqual(EXPLANATION);
    });
    it('refuses values that cannot be', async () => {
      expect(await refusal('explain', 'a.img', ...words, '--revision', '5.0')).toMatchObject({
        hint: 'One of: 6.5-merge, 6.4, 3.1.',
        exitCode: 64,
      });
      expect(await refusal('explain', 'a.img', ...words, '--memory-offset', '4096')).toMatchObject({
        where: '--memory-offset',
        exitCode: 64,
      });
    });
  });

  describe('conform', () => {
    it('refuses a file that is not there', async () => {
      expect(await refusal('conform', join(folder, 'none.jsonl'))).toMatchObject({ exitCode: 66 });
    });
    it('passes a published vector and fails a changed one', async () => {
      const golden = readFileSync(resolve('test/golden/6.4-named.jsonl'), 'utf8');
      const first = golden.slice(0, golden.indexOf('\n') + 1);
      const file = join(folder, 'one.jsonl');
      writeFileSync(file, first);
      expect(await run('conform', file, '--detail')).toBe(0);
      expect(out).toBe('1 passed, 0 failed\n');
      out = '';
      writeFileSync(file, first.replace('"ret":8192', '"ret":4096'));
      expect(await run('conform', file, '--json')).toBe(1);
      expect(JSON.parse(out)).toMatchObject({ passed: 0, failed: 1 });
    });
    it('names the line that is no vector', async () => {
      const file = join(folder, 'bad.jsonl');
      writeFileSync(file, '{}\n');
      const error = await refusal('conform', file);
      expect(error).toMatchObject({ exitCode: 65, where: `${file}:1` });
    });
  });

  it('prints an error in three parts', () => {
    const text = errorText({
      code: 'a.b',
      message: 'What is wrong',
      where: '/x',
      hint: 'What is right.',
    });
    expect(text).toBe('diolab: What is wrong\n  where: /x\n  hint:  What is right.\n');
    expect(errorText({ code: 'a', message: '/x is wrong', where: '/x' })).toBe(
      'diolab: /x is wrong\n',
    );
  });

  describe('loop, verify, runs, export', () => {
    const LOOP = {
      device: '/dev/loop3',
      imagePath: '/images/a.img',
      sectorBytes: 4096,
      hasDirectIo: true,
      isReadOnly: false,
      sizeBytes: 64 * 2 ** 20,
      owner: 'here',
      pid: 77,
    };
    const stream = <T>(...events: T[]): AsyncIterable<T> => ({
      async *[Symbol.asyncIterator]() {
        await Promise.resolve();
        yield* events;
      },
    });
    const VERIFIED = {
      imagePath: '/images/a.img',
      partition: null,
      atUnixMs: 1,
      fsck: { state: 'clean', text: 'e2fsck: no errors', output: '' },
      comparison: {
        state: 'equal',
        files: 2,
        bytes: 10,
        text: 'The same.',
        firstDifference: null,
      },
    };

    it('attach with what was asked, stay, and end when the device is gone', async () => {
      answers['loops.attach'] = LOOP;
      answers['loops.watch'] = stream([LOOP], []);
      const words = ['loop', 'attach', 'a.img', '--sector-size', '4096', '--no-direct-io'];
      expect(await run(...words, '--read-only')).toBe(0);
      expect(calls[0]).toEqual({
        name: 'loops.attach',
        input: { path: resolve('a.img'), sectorBytes: 4096, directIo: false, readOnly: true },
      });
      expect(out).toBe(
        '/dev/loop3: 64 MiB, sectors of 4096 bytes, direct I/O, over /images/a.img\n',
      );
      expect(errors).toContain('stays until Ctrl+C');
      expect(errors).toContain('/dev/loop3 was detached.');
      expect(calls.map(({ name }) => name)).not.toContain('loops.detach');
    });
    it('detach at Ctrl+C, and take it where the helper was faster', async () => {
      answers['loops.attach'] = LOOP;
      answers['loops.watch'] = stream();
      answers['loops.detach'] = new HostError({ code: 'loop.not-ours', message: 'gone' });
      abort.abort();
      expect(await run('loop', 'attach', 'a.img', '--json')).toBe(0);
      expect(JSON.parse(out)).toEqual(LOOP);
      answers['loops.detach'] = new HostError({ code: 'helper.busy', message: 'in use' });
      expect((await refusal('loop', 'attach', 'a.img')).code).toBe('helper.busy');
    });
    it('find the device by its image, and name what is not there', async () => {
      answers['loops.list'] = [{ ...LOOP, imagePath: resolve('a.img'), owner: 'elsewhere' }];
      answers['loops.detach'] = { detached: true };
      expect(await run('loop', 'detach', 'a.img')).toBe(0);
      expect(calls.at(-1)).toEqual({ name: 'loops.detach', input: { device: '/dev/loop3' } });
      expect(await refusal('loop', 'detach', 'b.img')).toMatchObject({
        code: 'loop.not-attached',
        exitCode: 66,
      });
      expect(await run('loop', 'detach', '/dev/loop9')).toBe(0);
      expect(calls.at(-1)?.input).toEqual({ device: '/dev/loop9' });
      answers['loops.detach'] = { detached: false };
      expect(await run('loop', 'detach', '/dev/loop9')).toBe(74);
    });
    it('list devices and leftovers, and clean up', async () => {
      const left = { path: '/images/.x', kind: 'plain-file', sizeBytes: 4096, text: 'Of a run.' };
      answers['loops.list'] = [LOOP];
      answers['loops.leftovers'] = [left];
      answers['loops.removeLeftover'] = { removed: true };
      expect(await run('loop', 'list')).toBe(0);
      expect(out).toContain('kept by process 77');
      expect(out).toContain('Left: /images/.x (4 KiB): Of a run.');
      out = '';
      expect(await run('loop', 'list', '--json')).toBe(0);
      expect(JSON.parse(out)).toEqual({ devices: [LOOP], leftovers: [left] });
      expect(await run('loop', 'clean')).toBe(0);
      expect(calls.at(-1)).toEqual({
        name: 'loops.removeLeftover',
        input: { path: '/images/.x' },
      });
    });
    it.each([
      [['loop']],
      [['loop', 'attach']],
      [['loop', 'attach', 'a.img', '--sector-size', '513']],
      [['export', 'last']],
      [['export', 'last', '--format', 'xml']],
      [['completion', 'tcsh']],
    ])('are refused as usage: %j', async (words) => {
      expect(await run(...words)).toBe(64);
      expect(calls).toEqual([]);
    });

    it('verify: tell both results, keep them with the newest run, 0 where all is well', async () => {
      answers['runs.list'] = [{ id: '0abcdefgh-0123456789' }];
      answers['verify.run'] = stream(
        { kind: 'progress', phase: 'fsck', file: '', doneBytes: 0, totalBytes: null },
        { kind: 'done', result: VERIFIED },
      );
      expect(await run('verify', 'a.img', '--run', 'last', '--partition', '2')).toBe(0);
      expect(calls.at(-1)).toEqual({
        name: 'verify.run',
        input: { path: resolve('a.img'), partition: 2, runId: '0abcdefgh-0123456789' },
      });
      expect(out).toBe('fsck: clean: e2fsck: no errors\ncomparison: equal: The same.\n');
      expect(errors).toContain('Checking by fsck');
    });
    it.each([
      [{ fsck: { state: 'damaged', text: 'bad', output: 'line\n' } }],
      [{ comparison: { ...VERIFIED.comparison, state: 'different' } }],
    ])('verify: exit code 1 for %j', async (change) => {
      const result = { ...VERIFIED, ...change };
      answers['verify.run'] = stream({ kind: 'done', result });
      expect(await run('verify', 'a.img', '--json')).toBe(1);
      expect(JSON.parse(out)).toEqual(result);
    });
    it('export: to the terminal or a new file, and say what is not there', async () => {
      expect(await run('export', '0abcdefgh-0123456789', '--format', 'blkparse')).toBe(0);
      expect(out).toBe('  0,0    0        1\n');
      const file = join(folder, 'out.txt');
      expect(await run('export', '0abcdefgh-0123456789', '--format', 'csv', '--output', file)).toBe(
        0,
      );
      expect(readFileSync(file, 'utf8')).toBe('  0,0    0        1\n');
      const words = ['export', '0abcdefgh-0123456789', '--format', 'csv', '--output', file];
      expect((await refusal(...words)).exitCode).toBe(73);
      expect(await run(...words, '--force')).toBe(0);
      expect((await refusal('export', '../x', '--format', 'csv')).code).toBe('run.unknown');
      answers['runs.list'] = [];
      expect((await refusal('export', 'last', '--format', 'csv')).exitCode).toBe(66);
    });
    it('print completions and the manual', async () => {
      expect(await run('completion', 'bash')).toBe(0);
      expect(out).toContain('complete -o default -F _diolab diolab');
      out = '';
      expect(await run('man')).toBe(0);
      expect(out).toContain('.TH DIOLAB 1 "" "diolab 9.8.7"');
      expect(calls).toEqual([]);
    });
  });
});
