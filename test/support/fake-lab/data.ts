// SPDX-License-Identifier: GPL-2.0-only
/** What the scripted lab answers about itself: catalogue, host, images, checks. */
import type {
  Catalogue,
  Experiment,
  ExperimentCheck,
  Explanation,
  HostFacts,
  ImageInfo,
  Job,
} from '../../../main/contract/index.ts';

const job = (change: Partial<Job> = {}): Job => ({
  name: 'job', rw: 'randread', rwMixReadPercent: 70, blockSizes: [{ sizeBytes: 4096, percent: 100 }],
  offsetBytes: 0, sizeBytes: null, ioSizeBytes: null,
  alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes: 0 },
  ioEngine: 'io_uring', ioDepth: 32, submitBatch: 8, numJobs: 1, direct: true, sync: 'none', nowait: false,
  fsyncEvery: 0, endFsync: false, runtimeSeconds: 5, timeBased: true, rampSeconds: 0, randSeed: 1,
  noRandomMap: false, distribution: { kind: 'random', parameter: 0 }, ...change,
}); // prettier-ignore
export const experiment = (name: string, change: Partial<Job> = {}): Experiment => ({
  name,
  target: {
    device: {
      id: 'image-file',
      options: { path: '/home/ada/.local/share/diolab/images/first-light.img' },
    },
    fileSystem: { id: 'ext2', options: { blockSizeBytes: '4096' } },
    filePath: '/data.bin',
    fileSizeBytes: 512 * 2 ** 20,
    create: { sizeBytes: 2 ** 30 },
    consentToWrite: false,
  },
  jobs: [job(change)],
  revision: '6.4',
  trace: { level: 'requests', rowsMax: 1_000_000 },
});
const blockSize = {
  type: 'choice', title: 'Block size', help: 'Bytes in a block.', choices: ['1024', '2048', '4096'], default: '4096',
} as const; // prettier-ignore
const module = (id: string, title: string, help: string, unavailableWhy: string | null = null) => ({
  id, title, help, options: {}, unavailableWhy,
}); // prettier-ignore

export const catalogue: Catalogue = {
  devices: [
    { ...module('image-file', 'Image file', 'A regular file of this host, with O_DIRECT.'),
      options: { path: { type: 'path', title: 'Image', help: 'A regular file.', default: '' } } },
    { ...module('memory', 'Memory', 'A disk in memory: no time is lost in a device.'),
      options: { sizeBytes: { type: 'quantity', title: 'Size', help: 'Of the disk.', unit: 'B', default: 2 ** 28, min: 65536, max: 2 ** 32 } } },
    { ...module('model', 'Model', 'A modelled disk in virtual time, the same at every run.'),
      options: { kind: { type: 'choice', title: 'Kind', help: 'Of disk.', choices: ['hdd', 'sata-ssd', 'nvme'], default: 'nvme' } } },
  ],
  fileSystems: [
    { ...module('raw', 'raw', 'The whole image as one file.'), canWrite: true, canFormat: false },
    { ...module('ext2', 'ext2', 'Blocks of 1, 2 or 4 KiB, no journal.'), options: { blockSizeBytes: blockSize }, canWrite: true, canFormat: true },
    { ...module('ext4', 'ext4', 'Extents, a journal, checksums of metadata.'), canWrite: true, canFormat: true, formatters: ['lab', 'system'],
      options: {
        blockSizeBytes: blockSize,
        inodeSizeBytes: { type: 'choice', title: 'Inode size', help: 'Bytes of an inode.', choices: ['128', '256'], default: '256' },
        label: { type: 'path', title: 'Label', help: 'Up to 16 bytes.', default: '' },
        hasJournal: { type: 'flag', title: 'With a journal', help: '', default: true },
        hasMetadataChecksums: { type: 'flag', title: 'With checksums of metadata', help: '', default: true },
      } },
    { ...module('fat', 'FAT', 'FAT12, FAT16 and FAT32, with long names.'), canWrite: true, canFormat: true },
    { ...module('xfs', 'XFS', 'Read and mapped, not written.'), canWrite: false, canFormat: false },
  ],
  executors: [
    module('sync', 'sync', 'preadv and pwritev, one at a time.'), module('threads', 'threads', 'A pool of threads.'),
    module('libaio', 'libaio', 'io_submit and io_getevents.'), module('io_uring', 'io_uring', 'Rings shared with the kernel.'),
  ],
  revisions: [{ id: '6.4', title: '6.4 mainline', releasedOn: '2023-06-25', basedOn: null }],
  presets: [
    { id: 'first-light', title: 'First light', help: 'Random reads of 4 KiB through ext2.', experiment: experiment('Random reads through ext2') },
    { id: 'small-in-large', title: '512 in 4096', help: 'What an offset of 1 536 costs.', experiment: experiment('512 in 4096', { alignment: { offsetBytes: 1536, lengthBytes: 0, memoryBytes: 0 } }) },
    { id: 'mix', title: 'Mixed load', help: '70 % reads, 30 % writes.', experiment: experiment('Mixed load', { rw: 'randrw' }) },
    { id: 'refused', title: 'Why EINVAL', help: 'An offset that no device takes.', experiment: experiment('Why EINVAL', { alignment: { offsetBytes: 100, lengthBytes: 0, memoryBytes: 0 } }) },
  ],
}; // prettier-ignore

export const hostFacts: HostFacts = {
  facts: [
    { id: 'o-direct', title: 'O_DIRECT in the data folder', state: 'yes', text: 'ext4 takes offsets of 512 B and memory of 512 B (statx DIOALIGN).', remedy: null },
    { id: 'io-uring', title: 'io_uring', state: 'yes', text: 'Linux 6.18 with rings in memory of our own.', remedy: null },
    { id: 'libaio', title: 'libaio', state: 'yes', text: '65 536 requests may be in flight in all (fs.aio-max-nr).', remedy: null },
    { id: 'loop', title: 'Loop devices', state: 'partly', text: 'The kernel has them; attaching one needs the privileged helper.', remedy: 'sudo apt install diolab' },
    { id: 'helper', title: 'Privileged helper', state: 'no', text: 'It is not installed. Nothing but loop devices and verification mounts needs it.', remedy: 'sudo apt install diolab' },
    { id: 'electron', title: 'Electron runtime', state: 'no', text: 'The window is not available here; this page works in any browser.', remedy: 'npx electron --version' },
  ],
  platform: 'Debian GNU/Linux 12, x86-64',
  kernel: '6.18.0',
  cpu: '2 × AMD EPYC 7B13',
  dataFolder: '/home/ada/.local/share/diolab',
  version: '0.1.0',
  face: 'browser',
}; // prettier-ignore

export const image = (name: string, change: Partial<ImageInfo> = {}): ImageInfo => ({
  path: `/home/ada/.local/share/diolab/images/${name}`,
  sizeBytes: 2 ** 30, allocatedBytes: 2 ** 29, madeByLab: true, writable: true, refusal: null, fileSystemId: 'ext2',
  probe: { label: '', blockSizeBytes: 4096, sizeBytes: 2 ** 30, freeBytes: 2 ** 29, state: 'clean', confidence: 'magic' },
  isDirect: true, directRefusedWhy: null, offsetAlignBytes: 512, memoryAlignBytes: 512, ...change,
}); // prettier-ignore
export const images: readonly ImageInfo[] = [
  image('first-light.img'),
  image('vm-root.img', { path: '/srv/images/vm-root.img', sizeBytes: 20 * 2 ** 30, madeByLab: false }),
  image('attached.img', {
    path: '/srv/images/attached.img', madeByLab: false,
    refusal: { code: 'image.in-use', message: 'attached.img is behind /dev/loop3.', hint: 'Detach it first: losetup -d /dev/loop3' },
  }),
]; // prettier-ignore

/** The alignment rule for a 4 KiB file system on a 512 B disk, enough for pictures. */
export function alignmentOf(offsetBytes: number, lengthBytes: number, memoryBytes: number): Explanation['alignment'] {
  const parts = [['offset', offsetBytes], ['length', lengthBytes], ['memory', memoryBytes]] as const;
  const offendersAt = (unit: number) => parts.filter(([, value]) => value % unit !== 0).map(([name]) => name);
  const round = (unit: number) => ({
    offsetBytes: Math.round(offsetBytes / unit) * unit,
    lengthBytes: Math.max(unit, Math.round(lengthBytes / unit) * unit),
    memoryBytes: memoryBytes % unit === 0 ? memoryBytes : 0,
  });
  if (offendersAt(4096).length === 0) {
    return { passes: true, unitBytes: 4096, blockFactorBits: 0, text: 'Offset, length and memory are multiples of the 4 096 B block.', offenders: [], nearest: [] };
  }
  if (offendersAt(512).length === 0) {
    const names = offendersAt(4096);
    return { passes: true, unitBytes: 512, blockFactorBits: 3, text: `The ${names.join(' and ')} ${names.length > 1 ? 'are' : 'is'} not of the 4 KiB block, so the request is done in the device’s 512 B: block factor 3.`, offenders: names, nearest: [round(4096)] };
  }
  const names = offendersAt(512);
  return { passes: false, unitBytes: null, blockFactorBits: null, text: `The ${names.join(' and ')} ${names.length > 1 ? 'are' : 'is'} not a multiple of the device’s 512 B: EINVAL.`, offenders: names, nearest: [round(512), round(4096)] };
} // prettier-ignore

export function checkOf(asked: Experiment): ExperimentCheck {
  const first = asked.jobs[0] as Job;
  const bytes = (first.blockSizes[0]?.sizeBytes ?? 4096) + first.alignment.lengthBytes;
  const writes = !first.rw.endsWith('read');
  return {
    problems: [],
    alignment: asked.jobs.map((each) =>
      alignmentOf(each.offsetBytes + each.alignment.offsetBytes, bytes, each.alignment.memoryBytes)),
    summary: [
      'The lab makes first-light.img (1 GiB, ext2 with 4 KiB blocks) in its data folder and lays out /data.bin of 512 MiB in it.',
      `Then ${first.ioEngine} keeps ${String(first.ioDepth)} requests of ${String(bytes)} B in flight for ${String(first.runtimeSeconds)} s, through the direct-I/O code of kernel ${asked.revision}.`,
    ],
    estimateSeconds: first.timeBased ? first.runtimeSeconds + 2 : 9,
    willWriteBytes: writes ? 512 * 2 ** 20 : null,
    needsConsent: String(asked.target.device.options['path']).startsWith('/srv') && writes,
  };
} // prettier-ignore
