// SPDX-License-Identifier: GPL-2.0-only
/** Results as text: pure functions from the contract's data to lines. */
import type { Explanation, FileMap, HostFacts, ImageEntry } from '../contract/types.ts';
import { bytesText } from './quantities.ts';

const range = (first: number, count: number, width: number): string =>
  `${String(first).padStart(width)}..${String(first + count - 1).padStart(width)}:`;

/** A file's extents in the columns of `filefrag -v`; holes are shown as rows of their own. */
export function mapText(name: string, map: FileMap): string {
  const { blockSizeBytes, sizeBytes, extents } = map;
  const blocks = Math.ceil(sizeBytes / blockSizeBytes);
  const lines = [
    `File size of ${name} is ${String(sizeBytes)} (${String(blocks)} blocks of ${String(blockSizeBytes)} bytes)`,
    ' ext:     logical_offset:        physical_offset: length:   expected: flags:',
  ];
  let expected: number | null = null;
  let found = 0;
  extents.forEach((extent, index) => {
    const { fileBlock, count, deviceBlock, state } = extent;
    const isLast = index === extents.length - 1;
    const flags = [...(state === 'mapped' ? [] : [state]), ...(isLast ? ['last', 'eof'] : [])];
    const isJump = deviceBlock !== null && expected !== null && expected !== deviceBlock;
    const physical = deviceBlock === null ? '-:'.padStart(23) : range(deviceBlock, count, 10);
    const jump = isJump ? `${String(expected).padStart(10)}:` : ' '.repeat(11);
    const place = `${String(index).padStart(4)}: ${range(fileBlock, count, 8)} ${physical}`;
    lines.push(`${place} ${String(count).padStart(6)}: ${jump} ${flags.join(',')}`.trimEnd());
    if (deviceBlock !== null) {
      if (expected !== deviceBlock) found += 1;
      expected = deviceBlock + count;
    }
  });
  lines.push(`${name}: ${String(found)} ${found === 1 ? 'extent' : 'extents'} found`);
  return `${lines.join('\n')}\n`;
}

/** The documented JSON of `map`. */
export const mapJson = (map: FileMap): object => ({
  blockSize: map.blockSizeBytes,
  sizeBytes: map.sizeBytes,
  extents: map.extents.map(({ fileBlock, count, deviceBlock, state }) => ({
    fileBlock,
    count,
    deviceBlock,
    state,
  })),
});

/** A folder's entries: kind, size in bytes, name; folders first. */
export function entriesText(entries: readonly ImageEntry[]): string {
  const width = Math.max(1, ...entries.map((entry) => String(entry.sizeBytes).length));
  return entries
    .map((entry) => {
      const mark = entry.kind === 'directory' ? 'd' : entry.kind === 'symlink' ? 'l' : '-';
      const slash = entry.kind === 'directory' ? '/' : '';
      return `${mark} ${String(entry.sizeBytes).padStart(width)} ${entry.name}${slash}\n`;
    })
    .join('');
}

/** The same with inode numbers in front. */
export function longEntriesText(entries: readonly ImageEntry[]): string {
  const width = Math.max(1, ...entries.map((entry) => String(entry.inodeNumber).length));
  const lines = entriesText(entries).split('\n');
  return entries
    .map((entry, at) => `${String(entry.inodeNumber).padStart(width)} ${lines[at] ?? ''}\n`)
    .join('');
}

/** What this host can do, one fact a line, with the way to get what is missing. */
export function factsText(facts: HostFacts): string {
  const marks = { yes: 'yes   ', no: 'no    ', partly: 'partly' } as const;
  const width = Math.max(...facts.facts.map((fact) => fact.title.length));
  const lines = [
    `diolab ${facts.version} on ${facts.platform}, kernel ${facts.kernel}, ${facts.cpu}`,
    `data folder ${facts.dataFolder}`,
    '',
  ];
  for (const fact of facts.facts) {
    lines.push(`${marks[fact.state]}  ${fact.title.padEnd(width)}  ${fact.text}`);
    if (fact.remedy !== null) lines.push(`${' '.repeat(8 + width)}  -> ${fact.remedy}`);
  }
  return `${lines.join('\n')}\n`;
}

const counted = (count: number, word: string): string =>
  `${String(count)} ${word}${count === 1 ? '' : 's'}`;

/** A request step by step: what was decided, by which values, where in the kernel. */
export function explanationText(explanation: Explanation): string {
  const { steps, result, alignment, counters, revision } = explanation;
  const lines: string[] = [];
  steps.forEach((step, index) => {
    lines.push(`${String(index + 1).padStart(2)}. ${step.title}`);
    lines.push(`    ${step.text}`);
    const values = Object.entries(step.values).map(([name, value]) => `${name}=${String(value)}`);
    if (values.length > 0) lines.push(`    ${values.join(' ')}`);
    lines.push(`    at ${step.site}`);
  });
  lines.push('', `result     ${result.ok ? 'ok' : 'refused'}: ${result.text}`);
  lines.push(`returned   ${String(result.returned)}`);
  lines.push(`alignment  ${alignment.text}`);
  for (const near of alignment.nearest) {
    lines.push(
      `  passes:  offset ${String(near.offsetBytes)}, length ${String(near.lengthBytes)}, memory ${String(near.memoryBytes)}`,
    );
  }
  lines.push(
    `counters   ${counted(counters.getBlockCalls, 'get_block call')}, ${counted(counters.bios, 'bio')} of ${bytesText(counters.bioBytes)}${counters.bios > 1 ? ' in all' : ''}, ${bytesText(counters.zeroedBytes)} zeroed`,
  );
  lines.push(`revision   ${revision}`);
  return `${lines.join('\n')}\n`;
}
