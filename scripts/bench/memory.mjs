// SPDX-License-Identifier: GPL-2.0-only
/** Memory over a long run: resident size of the engine process along ten million requests on the memory device. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture, descendantsOf, diolab, residentBytes } from './measure.mjs';

const MIB = 2 ** 20;

const jobText = (requests) => `name: memory over ${requests} requests
target:
  device: memory
  filesystem: raw
jobs:
  - name: reads
    rw: randread
    bs: 4k
    ioengine: sync
    io_size: ${requests * 4096}
    norandommap: true
trace: off
`;

export const section = {
  id: 'memory',
  needs: ['engine', 'cli'],
  title: 'Memory of the engine process over a run',
  columns: ['requests', 'early (10 to 25 %)', 'half way', 'at the end', 'growth'],
  async run({ quick, folder }) {
    const requests = quick ? 200_000 : 10_000_000;
    const job = join(folder, 'memory.yaml');
    writeFileSync(job, jobText(requests));
    const samples = [];
    let watch = null;
    const env = { DIOLAB_DATA: join(folder, 'data') };
    try {
      await capture(process.execPath, [diolab, 'run', job, '--output', 'json'], {
        env,
        onStart: (child) => {
          watch = setInterval(() => {
            const size = Math.max(0, ...descendantsOf(child.pid).map(residentBytes));
            if (size > 0) samples.push(size);
          }, 100);
        },
      });
    } finally {
      clearInterval(watch);
    }
    // The most of each part: a single look may meet a process that starts or ends.
    const most = (from, to) => {
      const { length } = samples;
      return Math.max(0, ...samples.slice(Math.floor(length * from), Math.ceil(length * to)));
    };
    const [tenth, half, end] = [most(0.1, 0.25), most(0.45, 0.6), most(0.85, 1)];
    const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`;
    return [
      {
        cells: [requests.toLocaleString('en'), mib(tenth), mib(half), mib(end), mib(end - tenth)],
        values: { requests, samples: samples.length, tenth, half, end },
        aim: { text: 'under 16 MiB growth', isMet: end - tenth < 16 * MIB },
      },
    ];
  },
};
