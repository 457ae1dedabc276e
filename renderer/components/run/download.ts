// SPDX-License-Identifier: GPL-2.0-only
/** Saving from the page: blobs through a link of their own, tables as CSV. */
import type { PlotTable } from '../../plots/contract.ts';

export function downloadBlob(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 10_000);
}
/** A field of CSV: quoted where it has to be. Spaces of grouped numbers are taken out, so that a program reads them. */
function field(value: string | number): string {
  const text = String(value)
    .replace(/(\d)[\u2009\u202f](?=\d)/g, '$1')
    .replaceAll('\u00a0', ' ');
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
export const tableToCsv = (table: PlotTable): string =>
  [table.columns, ...table.rows].map((row) => `${row.map(field).join(',')}\n`).join('');

/** A run's name as part of a file name. */
export const fileNameOf = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '') || 'run';
