// SPDX-License-Identifier: GPL-2.0-only
/** The terminal twin on real images: built, spawned, and looked at from outside. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliLab, root, waitFor } from '../support/cli.ts';
import { describeUnless, describeWith, findProgram, missingReason } from '../support/tools.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

let lab: CliLab;
beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'scripts/build.mjs'), 'cli', 'engine', 'renderer']);
  lab = new CliLab();
});
afterAll(() => {
  lab.dispose();
});

const makeImage = async (name: string, ...words: string[]): Promise<string> => {
  const made = await lab.run('mkfs', lab.path(name), ...words);
  expect(made.errors).toBe('');
  expect(made.code).toBe(0);
  return lab.path(name);
};
const fsck = (image: string): void => {
  execFileSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', image], { stdio: 'pipe' });
};
const yamlJob = (image: string, more = ''): string => `name: spawned
target:
  image: ${image}
  filesystem: ext2
  file: /data
  file_size: 4m
jobs:
  - name: writes
    rw: randwrite
    bs: 4k
    ioengine: libaio
    iodepth: 8
    size: 4m
${more}`;
const rawJob = (image: string, more = ''): string =>
  `[global]\nioengine=libaio\ndirect=1\nbs=4k\n[reads]\nfilename=${image}\nrw=randread\nsize=1m\n${more}`;

describe('diolab', () => {
  it('helps, and refuses what it does not know', async () => {
    const help = await lab.run('--help');
    expect(help.code).toBe(0);
    expect(help.out).toMatch(/^Usage: diolab/);
    expect(help.errors).toBe('');
    const bare = await lab.run();
    expect(bare.out).toBe(help.out);
    const unknown = await lab.run('frobnicate');
    expect(unknown.code).toBe(64);
    expect(unknown.out).toBe('');
    expect(unknown.errors).toContain("unknown command 'frobnicate'");
  });

  it('keeps the content of files inside an image, byte for byte', async () => {
    const image = await makeImage(
      'content.img',
      '--fs',
      'ext2',
      '--size',
      '32m',
      '--block-size',
      '1k',
    );
    const content = randomBytes(3 * MIB + 123);
    writeFileSync(lab.path('local'), content);
    expect((await lab.run('put', image, lab.path('local'), '/big')).code).toBe(0);
    const sum = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    const shown = await lab.run('cat', image, '/big');
    expect(shown.code).toBe(0);
    expect(sum(shown.bytes)).toBe(sum(content));
    expect((await lab.run('get', image, '/big', lab.path('back'))).code).toBe(0);
    expect(sum(readFileSync(lab.path('back')))).toBe(sum(content));
    const listed = await lab.run('ls', image, '/');
    expect(listed.out).toContain(`${String(content.length)} big\n`);
    const mapped = JSON.parse((await lab.run('map', image, '/big', '--json')).out) as {
      blockSize: number;
      sizeBytes: number;
      extents: { fileBlock: number; count: number; state: string }[];
    };
    expect(mapped.blockSize).toBe(1024);
    expect(mapped.sizeBytes).toBe(content.length);
    const blocks = mapped.extents.reduce((sum, extent) => sum + extent.count, 0);
    expect(blocks).toBe(Math.ceil(content.length / KIB));
    expect(mapped.extents.every((extent) => extent.state === 'mapped')).toBe(true);
  });

  it('runs an experiment, and says the same in words and as JSON', async () => {
    const image = await makeImage(
      'run.img',
      '--fs',
      'ext2',
      '--size',
      '16m',
      '--block-size',
      '4096',
    );
    writeFileSync(lab.path('job.yaml'), yamlJob(image));
    const text = await lab.run('run', lab.path('job.yaml'));
    expect(text.errors).not.toContain('\r');
    expect(text.code, text.errors).toBe(0);
    expect(text.out).toContain('writes');
    const json = await lab.run(
      'run',
      lab.path('job.yaml'),
      '--output',
      'json',
      '--set',
      'iodepth=2',
    );
    expect(json.code, json.errors).toBe(0);
    const report = JSON.parse(json.out) as {
      jobs: { jobname: string; error: number; write: { total_ios: number; io_bytes: number } }[];
      diolab: object;
    };
    expect(report.jobs).toHaveLength(1);
    expect(report.jobs[0]).toMatchObject({
      jobname: 'writes',
      error: 0,
      write: { total_ios: 1024, io_bytes: 4 * MIB },
    });
    expect(report.diolab).toBeTypeOf('object');
  });

  it('runs a fio job file and names each key that it does not honour', async () => {
    const image = await makeImage('fio.img', '--fs', 'raw', '--size', '4m');
    writeFileSync(lab.path('job.fio'), rawJob(image, 'rate_iops=10\nzonemode=strided\n'));
    const run = await lab.run('run', lab.path('job.fio'), '--output', 'json');
    expect(run.code, run.errors).toBe(0);
    expect(run.errors).toContain('rate_iops');
    expect(run.errors).toContain('zonemode');
    expect(() => JSON.parse(run.out) as unknown).not.toThrow();
  });

  it('explains a request', async () => {
    const image = await makeImage(
      'explain.img',
      '--fs',
      'ext2',
      '--size',
      '8m',
      '--block-size',
      '4096',
    );
    writeFileSync(lab.path('small'), Buffer.alloc(64 * KIB, 7));
    await lab.run('put', image, lab.path('small'), '/f');
    const words = ['explain', image, '/f', '--op', 'read', '--length', '4096', '--json'];
    const before = readFileSync(image);
    const fine = JSON.parse((await lab.run(...words, '--offset', '0')).out) as ExplainJson;
    expect(fine).toMatchObject({
      result: { ok: true, returned: 4096 },
      alignment: { unitBytes: 4096 },
    });
    const small = JSON.parse((await lab.run(...words, '--offset', '512')).out) as ExplainJson;
    expect(small).toMatchObject({ alignment: { passes: true, unitBytes: 512 } });
    const odd = JSON.parse((await lab.run(...words, '--offset', '1')).out) as ExplainJson;
    expect(odd).toMatchObject({ result: { ok: false }, alignment: { passes: false } });
    expect(odd.alignment.offenders).toContain('offset');
    expect(readFileSync(image).equals(before)).toBe(true);
  });

  it('compares revisions on one request, and leaves the image as it was', async () => {
    const image = await makeImage('compare.img', '--fs', 'ext2', '--size', '8m');
    writeFileSync(lab.path('compared'), Buffer.alloc(64 * KIB, 7));
    await lab.run('put', image, lab.path('compared'), '/f');
    const before = readFileSync(image);
    const words = ['compare', image, '/f', '--op', 'write', '--offset', '0', '--length', '8k'];
    const all = await lab.run(...words, '--json');
    expect(all.code, all.errors).toBe(0);
    const { runs } = JSON.parse(all.out) as { runs: { summary: { returned: unknown } }[] };
    expect(runs.map(({ summary }) => summary.returned)).toEqual(Array(7).fill(8192));
    const two = await lab.run(...words, '--revisions', '6.4,2.6.31');
    expect(two.out).toMatch(/^revision .*\n6\.4 .*\n2\.6\.31 .*\n\n6\.4 and 2\.6\.31\n/);
    expect(readFileSync(image).equals(before)).toBe(true);
  });

  it('shows the gallery, and refuses an exhibit that is not there', async () => {
    const list = JSON.parse((await lab.run('gallery', '--json')).out) as { id: string }[];
    expect(list.length).toBeGreaterThan(10);
    const shown = await lab.run('gallery', list[0]?.id ?? '');
    expect(shown.code, shown.errors).toBe(0);
    const refused = await lab.run('gallery', 'none');
    expect(refused.code).toBe(65);
    expect(refused.errors).toContain('the gallery has no exhibit');
  });

  it('says what this host can do', async () => {
    const doctor = await lab.run('doctor', '--json');
    expect(doctor.code).toBe(0);
    const { facts } = JSON.parse(doctor.out) as { facts: { id: string; state: string }[] };
    expect(facts.length).toBeGreaterThan(5);
    for (const { state } of facts) expect(['yes', 'no', 'partly']).toContain(state);
  });

  it('conforms to published vectors', async () => {
    const run = await lab.run(
      'conform',
      join(root, 'test/golden/6.4-named.jsonl'),
      '--detail',
      '--json',
    );
    expect(run.code).toBe(0);
    expect(JSON.parse(run.out)).toMatchObject({ failed: 0 });
  });
});

interface ExplainJson {
  readonly alignment: { readonly offenders: string[] };
}

describe('bad input', () => {
  const refused = async (code: number, ...words: string[]): Promise<string> => {
    const run = await lab.run(...words);
    expect(run.code, `${words.join(' ')}: ${run.errors}${run.out}`).toBe(code);
    expect(run.errors).toMatch(/^diolab: /m);
    return run.errors;
  };

  it('a job that is not there, is not YAML, or has unknown keys, each with its line', async () => {
    expect(await refused(66, 'run', lab.path('none.yaml'))).toContain('none.yaml');
    writeFileSync(lab.path('bad.yaml'), 'name: x\nfoo: 1\njobs:\n  - rw: sideways\n');
    const errors = await refused(65, 'run', lab.path('bad.yaml'));
    expect(errors).toContain('bad.yaml:2: foo');
    expect(errors).toContain('bad.yaml:4: rw');
    writeFileSync(lab.path('broken.yaml'), 'name: [\n');
    expect(await refused(65, 'run', lab.path('broken.yaml'))).toMatch(/broken\.yaml:\d+: /);
  });

  it('--set of a key that is none', async () => {
    const image = await makeImage('set.img', '--fs', 'raw', '--size', '1m');
    writeFileSync(lab.path('set.fio'), rawJob(image));
    const errors = await refused(64, 'run', lab.path('set.fio'), '--set', 'iodepht=3');
    expect(errors).toContain('iodepth');
    await refused(64, 'run', lab.path('set.fio'), '--set', 'iodepth');
  });

  it('an image that exists already, unless --force', async () => {
    const image = await makeImage('exists.img', '--fs', 'raw', '--size', '1m');
    const words = ['mkfs', image, '--fs', 'ext2', '--size', '2m', '--block-size', '1024'];
    expect(await refused(73, ...words)).toContain('--force');
    expect(statSync(image).size).toBe(MIB);
    expect((await lab.run(...words, '--force')).code).toBe(0);
    expect(statSync(image).size).toBe(2 * MIB);
    await refused(73, 'mkfs', lab.folder, '--fs', 'raw', '--size', '1m', '--force');
  });

  it('what is no regular file, or not there', async () => {
    const real = await makeImage(
      'real.img',
      '--fs',
      'ext2',
      '--size',
      '1m',
      '--block-size',
      '1024',
    );
    expect(await refused(66, 'ls', lab.path('none.img'), '/')).toContain('none.img');
    symlinkSync(real, lab.path('link.img'));
    const link = await lab.run('ls', lab.path('link.img'), '/');
    expect(link.code).not.toBe(0);
    expect(link.errors).toContain('link.img');
    const folder = await lab.run('ls', lab.folder, '/');
    expect(folder.code).not.toBe(0);
    expect(existsSync(real)).toBe(true);
  });

  it('an image that is cut short, or has a damaged superblock', async () => {
    const image = await makeImage(
      'cut.img',
      '--fs',
      'ext2',
      '--size',
      '8m',
      '--block-size',
      '1024',
    );
    truncateSync(image, 4 * MIB);
    expect(await refused(65, 'ls', image, '/')).toContain('cut.img');
    writeFileSync(lab.path('cut.yaml'), yamlJob(image));
    const why = 'blocks_count is 8192, expected at most the 4096 of the image: it is cut short';
    expect(await refused(65, 'run', lab.path('cut.yaml'))).toContain(why);
    const damaged = await makeImage(
      'damaged.img',
      '--fs',
      'ext2',
      '--size',
      '8m',
      '--block-size',
      '1024',
    );
    const bytes = readFileSync(damaged);
    bytes.fill(0xff, 1024 + 4, 1024 + 64);
    writeFileSync(damaged, bytes);
    await refused(65, 'ls', damaged, '/');
  });

  it('a load beyond the end of the image', async () => {
    const image = await makeImage('short.img', '--fs', 'raw', '--size', '1m');
    writeFileSync(lab.path('beyond.fio'), rawJob(image, 'offset=2m\n'));
    await refused(65, 'run', lab.path('beyond.fio'));
  });

  it('a port in use', async () => {
    const first = lab.start('serve');
    const link = await waitFor(() => /http:\/\/127\.0\.0\.1:(\d+)\/\S+/.exec(first.out()));
    const errors = await refused(73, 'serve', '--port', link[1] ?? '');
    expect(errors).toContain('in use');
    first.child.kill('SIGINT');
    expect((await first.ended).code).toBe(0);
    await refused(64, 'serve', '--port', '70000');
  });
});

describe('interruption', () => {
  it('cancels a run cleanly, keeps what was measured, and exits with 130', async () => {
    const image = await makeImage('cancel.img', '--fs', 'raw', '--size', '8m');
    writeFileSync(lab.path('long.fio'), rawJob(image, 'runtime=60\ntime_based\n'));
    const running = lab.start('run', lab.path('long.fio'), '--output', 'json');
    // The journal's intent is written before the first request.
    const runs = lab.path('data/runs');
    const started = await waitFor(() =>
      running.errors() !== '' || existsSync(runs) ? true : null,
    );
    expect(started).toBe(true);
    await new Promise((done) => setTimeout(done, 1500));
    running.child.kill('SIGINT');
    const { code, out } = await running.ended;
    expect(code).toBe(130);
    if (out !== '') expect(JSON.parse(out)).toHaveProperty('jobs');
  });

  it('says that a run was aborted whose engine process is killed', async () => {
    const image = await makeImage('killed.img', '--fs', 'raw', '--size', '8m');
    writeFileSync(lab.path('killed.fio'), rawJob(image, 'runtime=60\ntime_based\n'));
    const running = lab.start('run', lab.path('killed.fio'));
    const pid = String(running.child.pid);
    // The process of the run is the second one: the first is for questions.
    const engine = await waitFor(() => {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
      return children.length === 2 ? Number(children[1]) : null;
    });
    process.kill(engine, 'SIGKILL');
    const { code, out, errors } = await running.ended;
    expect([code, out]).toEqual([74, '']);
    expect(errors).toMatch(/was aborted\. The engine process was ended by signal SIGKILL/);
  });

  it('ends quietly where its reader is gone', async () => {
    const image = await makeImage(
      'pipe.img',
      '--fs',
      'ext2',
      '--size',
      '32m',
      '--block-size',
      '4096',
    );
    writeFileSync(lab.path('large'), Buffer.alloc(16 * MIB, 1));
    expect((await lab.run('put', image, lab.path('large'), '/large')).code).toBe(0);
    const running = lab.start('cat', image, '/large');
    running.child.stdout?.once('data', () => running.child.stdout?.destroy());
    const { code, errors } = await running.ended;
    expect(code).toBe(130);
    expect(errors).toBe('');
  });
});

describeWith(['e2fsprogs'], 'images that the terminal made or wrote pass e2fsck', () => {
  it('after mkfs, put and a writing run, for each block size', async () => {
    for (const blockSize of ['1024', '2048', '4096']) {
      const words = ['--fs', 'ext2', '--size', '16m', '--block-size', blockSize];
      const image = await makeImage(`fsck-${blockSize}.img`, ...words);
      fsck(image);
      writeFileSync(lab.path('piece'), randomBytes(MIB));
      expect((await lab.run('put', image, lab.path('piece'), '/piece')).code).toBe(0);
      fsck(image);
      writeFileSync(lab.path('fsck.yaml'), yamlJob(image));
      const run = await lab.run('run', lab.path('fsck.yaml'));
      expect(run.code, run.errors).toBe(0);
      fsck(image);
    }
  });

  it('changes a foreign image only with consent', async () => {
    const image = lab.path('foreign.img');
    writeFileSync(image, Buffer.alloc(16 * MIB));
    const words = ['-q', '-F', '-t', 'ext2', '-b', '4096', image];
    execFileSync(findProgram('mke2fs') ?? 'mke2fs', words, { stdio: 'pipe' });
    writeFileSync(lab.path('foreign.yaml'), yamlJob(image));
    writeFileSync(lab.path('piece'), 'text');
    const commands = [
      ['run', lab.path('foreign.yaml')],
      ['put', image, lab.path('piece'), '/piece'],
    ];
    for (const command of commands) {
      const before = readFileSync(image);
      const refused = await lab.run(...command);
      expect(refused.code, refused.errors).toBe(77);
      expect(refused.errors).toContain('consent');
      expect(readFileSync(image).equals(before)).toBe(true);
      const allowed = await lab.run(...command, '--consent');
      expect(allowed.code, allowed.errors).toBe(0);
      fsck(image);
    }
  });
});

const loopReason = missingReason(['mount']) ?? (process.getuid?.() === 0 ? null : 'needs root');
describeUnless(loopReason, 'an image that a loop device has', () => {
  it('is refused, and named with the device', async () => {
    const image = await makeImage(
      'loop.img',
      '--fs',
      'ext2',
      '--size',
      '8m',
      '--block-size',
      '1024',
    );
    const losetup = findProgram('losetup') ?? 'losetup';
    const device = execFileSync(losetup, ['-f', '--show', image], { encoding: 'utf8' }).trim();
    try {
      writeFileSync(lab.path('loop.yaml'), yamlJob(image));
      const run = await lab.run('run', lab.path('loop.yaml'));
      expect(run.code).not.toBe(0);
      expect(run.errors).toContain(device);
    } finally {
      execFileSync(losetup, ['-d', device]);
    }
  });
});

const ptyReason = findProgram('script') === null ? 'missing: script (Debian: bsdutils)' : null;
describeUnless(ptyReason, 'on a terminal', () => {
  it('draws progress over one line', async () => {
    const image = await makeImage('progress.img', '--fs', 'raw', '--size', '4m');
    writeFileSync(lab.path('progress.fio'), rawJob(image, 'runtime=2\ntime_based\n'));
    const command = `${process.execPath} ${join(root, 'bin/diolab.mjs')} run ${lab.path('progress.fio')}`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env: { ...process.env, DIOLAB_DATA: lab.path('data') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let shown = '';
    child.stdout.on('data', (data: Buffer) => (shown += data.toString()));
    const code = await new Promise((done) => child.on('close', done));
    expect(code).toBe(0);
    expect(shown).toMatch(/\r\x1b\[2K\[[#.]{24}\] +\d+ %/);
    expect(shown).toMatch(/IOPS/);
  });
});
