// SPDX-License-Identifier: GPL-2.0-only
/**
 * A RAM disk (kernel: drivers/block/brd.c). A request is done before `submit` returns, so nothing is ever in flight. Memory is taken
 * 64 KiB at a time, at the first write. With `keepsData` off it moves no byte, as drivers/block/null_blk does: then only the engine
 * is measured.
 */
import { KIB, SECTOR_BYTES, type OptionsOf } from '../../base/index.ts';
import {
  DEFAULT_LIMITS,
  SparseStore,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../../block/index.ts';
import type { DeviceModule, DevicePorts } from '../contract.ts';

const options = {
  sizeKib: {
    type: 'quantity',
    title: 'Size',
    help: 'Size of the disk. Memory is taken only for what is written.',
    unit: 'KiB',
    default: 1024 * KIB,
    min: 64,
    max: 16 * 1024 * 1024 * KIB,
  },
  logicalBlockBytes: {
    type: 'choice',
    title: 'Logical block',
    help: 'Smallest addressable unit in bytes: direct I/O in smaller units is refused.',
    choices: ['512', '1024', '2048', '4096'],
    default: '512',
  },
  maxIoKib: {
    type: 'quantity',
    title: 'Longest request',
    help: 'Longer bios are split (queue/max_sectors_kb). Counted in whole 4 KiB.',
    unit: 'KiB',
    default: 1280,
    min: 4,
    max: 65536,
  },
  maxSegments: {
    type: 'quantity',
    title: 'Segments a request',
    help: 'Bios of more pieces of memory are split (queue/max_segments).',
    unit: 'segments',
    default: 256,
    min: 1,
    max: 1024,
  },
  chunkKib: {
    type: 'quantity',
    title: 'Chunk',
    help: 'Requests do not cross a multiple of this, counted in whole 4 KiB (queue/chunk_sectors). Below 4: no such boundary.',
    unit: 'KiB',
    default: 0,
    min: 0,
    max: 1024 * KIB,
  },
  readOnly: {
    type: 'flag',
    title: 'Read only',
    help: 'Writes end with EIO, as on a write-protected disk.',
    default: false,
  },
  keepsData: {
    type: 'flag',
    title: 'Keeps data',
    help: 'Off: no byte is moved, reads leave the buffer as it is. Measures the engine alone.',
    default: true,
  },
} as const;

export class MemoryDevice implements BlockDevice {
  readonly name = 'memory';
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>(['read', 'write', 'discard', 'write-zeroes']);
  readonly inFlightCount = 0;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly isReadOnly: boolean;
  private readonly store: SparseStore | null;

  constructor(ports: Pick<DevicePorts, 'memory'>, chosen: OptionsOf<typeof options>) {
    const logicalBlockBytes = Number(chosen.logicalBlockBytes);
    const sizeBytes = Math.floor((chosen.sizeKib * KIB) / logicalBlockBytes) * logicalBlockBytes;
    this.capacitySectors = sizeBytes / SECTOR_BYTES;
    this.isReadOnly = chosen.readOnly;
    this.limits = {
      ...DEFAULT_LIMITS,
      logicalBlockBytes,
      ioSizeSectorsMax: (Math.floor(chosen.maxIoKib / 4) * 4 * KIB) / SECTOR_BYTES,
      segmentCountMax: Math.floor(chosen.maxSegments),
      chunkSectors: (Math.floor(chosen.chunkKib / 4) * 4 * KIB) / SECTOR_BYTES,
    };
    this.store = chosen.keepsData ? new SparseStore(ports.memory, sizeBytes) : null;
  }

  submit(request: DeviceRequest): 'queued' {
    this.store?.transfer(request);
    request.onEnd(request, 0);
    return 'queued';
  }

  commit(): void {
    // Everything is done in `submit`.
  }

  wait(): number {
    return 0;
  }

  close(): void {
    this.store?.release();
  }
}

export const memoryDevice: DeviceModule<typeof options> = {
  id: 'memory',
  title: 'Memory',
  help: 'A RAM disk: requests end at once, nothing reaches the host. Content is lost at the end of the run.',
  options,
  needs: [],
  virtualTime: false,
  open: (ports, chosen) => ({
    device: new MemoryDevice(ports, {
      ...chosen,
      readOnly: chosen.readOnly || ports.io.readOnly,
    }),
    executorChoice: null,
    image: null,
  }),
};
