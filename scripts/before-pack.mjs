// SPDX-License-Identifier: GPL-2.0-only
/**
 * electron-builder's beforePack hook: for Linux it builds the helper where there is a compiler, and lays out what the .deb installs
 * outside of /opt/diolab. What is missing is said; other systems have nothing of it.
 */
import { buildHelper } from './build-helper.mjs';
import { layOutLinuxRoot } from './linux-root.mjs';

export default function beforePack(context) {
  if (context.electronPlatformName !== 'linux') return;
  const { missing: why } = buildHelper();
  if (why !== undefined) console.warn(`  the package has no helper: ${why}`);
  const { missing } = layOutLinuxRoot();
  for (const from of missing) console.warn(`  left out of the .deb, not there: ${from}`);
}
