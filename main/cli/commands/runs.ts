// SPDX-License-Identifier: GPL-2.0-only
/** runs, export: what is kept of runs. */
import { open, type FileHandle } from 'node:fs/promises';
import { HostError } from '../../../engine/base/index.ts';
import type { LabClient } from '../../contract/client.ts';
import type { RunListEntry } from '../../contract/types.ts';
import { EXIT } from '../errors.ts';
import type { ExportOptions } from '../ground-commands.ts';
import type { JsonOptions } from '../place.ts';
import { countText, durationText } from '../quantities.ts';
import { line, type Terminal } from '../terminal.ts';

/** The id of the command line; 'last' is the newest run. */
export async function runIdOf(client: LabClient, word: string): Promise<string> {
  if (word !== 'last') {
    if (/^[0-9a-z-]{8,64}$/.test(word)) return word;
    throw noRun(word);
  }
  const [newest] = await client.runs.list();
  if (newest === undefined) throw noRun(word);
  return newest.id;
}

const noRun = (word: string): HostError =>
  new HostError({
    code: 'run.unknown',
    message: word === 'last' ? 'No run is kept' : `There is no run ${word}`,
    where: word,
    hint: 'diolab runs lists those that are kept.',
    exitCode: EXIT.noInput,
  });

/** 'verified', 'damaged', 'different', or nothing. */
function verifiedText({ verify }: RunListEntry): string {
  if (verify === undefined || verify === null) return '';
  const { fsck, comparison } = verify;
  if (fsck.state === 'damaged') return 'damaged';
  if (comparison.state === 'different') return 'different';
  return fsck.state === 'clean' || comparison.state === 'equal' ? 'verified' : '';
}

function cells(entry: RunListEntry): string[] {
  const { iops, p50Ns } = entry.summary;
  return [
    entry.id,
    new Date(entry.startedAtUnixMs).toISOString().slice(0, 19).replace('T', ' '),
    entry.state,
    iops === null ? '' : `${countText(iops)} IOPS`,
    p50Ns === null ? '' : `p50 ${durationText(p50Ns)}`,
    verifiedText(entry),
    entry.name,
  ];
}

export async function runs(terminal: Terminal, { json }: JsonOptions): Promise<number> {
  const { client } = await terminal.session();
  const list = await client.runs.list();
  if (json) {
    await terminal.out(line(JSON.stringify(list, null, 2)));
    return EXIT.ok;
  }
  const rows = list.map(cells);
  const widths = [0, 1, 2, 3, 4, 5].map((column) =>
    Math.max(0, ...rows.map((row) => (row[column] ?? '').length)),
  );
  for (const row of rows) {
    const text = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
    await terminal.out(line(text.trimEnd()));
  }
  if (rows.length === 0) terminal.error(line('No run is kept.'));
  return EXIT.ok;
}

async function openOutput(path: string, force: boolean): Promise<FileHandle> {
  try {
    return await open(path, force ? 'w' : 'wx');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new HostError({
      code: 'output.cannot-create',
      message: code === 'EEXIST' ? `${path} exists` : `${path} cannot be made (${String(code)})`,
      where: path,
      hint: code === 'EEXIST' ? '--force replaces it.' : 'Name a file in a folder of yours.',
      exitCode: EXIT.cannotCreate,
    });
  }
}

export async function exportRun(
  terminal: Terminal,
  word: string,
  { format, output, force }: ExportOptions,
): Promise<number> {
  const session = await terminal.session();
  const id = await runIdOf(session.client, word);
  // Refused before a file is made.
  await session.client.runs.get({ runId: id });
  const file = output === '-' ? null : await openOutput(output, force);
  try {
    await session.exportRun(id, format, async (bytes) => {
      terminal.signal.throwIfAborted();
      if (file === null) await terminal.out(bytes);
      else await file.writeFile(bytes);
    });
  } finally {
    await file?.close();
  }
  return EXIT.ok;
}
