// SPDX-License-Identifier: GPL-2.0-only
/**
 * `node scripts/icons.mjs`: draws assets/icons/diolab.svg at the sizes that desktops ask for, with the Chromium of this machine. The PNG
 * files are committed; run this after a change of the drawing.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './tools-table.mjs';

const folder = join(import.meta.dirname, '..', 'assets', 'icons');
const sizes = [16, 32, 48, 64, 128, 256, 512];

/** Runs in the page: the drawing on a canvas of each size, as data addresses in its text. */
function draw(svgText, wanted) {
  const image = new Image();
  image.onload = () => {
    document.body.textContent = wanted
      .map((size) => {
        const canvas = Object.assign(document.createElement('canvas'), {
          width: size,
          height: size,
        });
        canvas.getContext('2d').drawImage(image, 0, 0, size, size);
        return canvas.toDataURL('image/png');
      })
      .join(' ');
  };
  image.src = `data:image/svg+xml,${encodeURIComponent(svgText)}`;
}

const chromium = findProgram('chromium');
if (chromium === null) {
  console.error('icons: chromium is missing; install it with: sudo apt-get install -y chromium');
  process.exit(78);
}
const work = mkdtempSync(join(tmpdir(), 'diolab-icons-'));
try {
  const drawing = readFileSync(join(folder, 'diolab.svg'), 'utf8');
  const words = `${JSON.stringify(drawing).replaceAll('</', '<\\/')}, ${JSON.stringify(sizes)}`;
  const page = join(work, 'icon.html');
  writeFileSync(page, `<!doctype html><body><script>(${draw.toString()})(${words})</script>`);
  const run = spawnSync(
    chromium,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--virtual-time-budget=5000',
      `--user-data-dir=${join(work, 'profile')}`,
      '--dump-dom',
      `file://${page}`,
    ],
    { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  const found = [...(run.stdout ?? '').matchAll(/data:image\/png;base64,([A-Za-z0-9+/=]+)/g)];
  if (found.length !== sizes.length) throw new Error(`chromium drew nothing: ${run.stderr}`);
  sizes.forEach((size, index) => {
    const png = Buffer.from(found[index][1], 'base64');
    const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
    if (width !== size || height !== size) throw new Error(`${size}: drawn as ${width}x${height}`);
    writeFileSync(join(folder, `${size}x${size}.png`), png);
    console.log(`${size}x${size}.png ${png.length} bytes`);
  });
} finally {
  rmSync(work, { recursive: true, force: true });
}
