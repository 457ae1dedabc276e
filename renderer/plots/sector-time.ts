// SPDX-License-Identifier: GPL-2.0-only
/** Where and when: one point a request, its first sector over the time of the run, coloured by how slow it was. Drawn by the raster. */
import type { RequestColumns } from '../../main/contract/bulk.ts';
import { formatCount, formatLatency, joinShown } from '../format/numbers.ts';
import type { PlotTable, RasterPlot } from './contract.ts';
import { slowThresholds } from './raster.ts';

const TIME_BANDS = 10;
const SECTOR_BANDS = 4;

/** Requests counted in ten bands of time by four bands of sectors: what the picture shows, in words. */
function bandTable(columns: RequestColumns, deviceSectors: number): PlotTable {
  const lastNs = columns.atNs[columns.rowCount - 1] ?? 0;
  const counts = new Float64Array(TIME_BANDS * SECTOR_BANDS);
  const worst = new Float64Array(TIME_BANDS);
  const sectors = Math.max(1, deviceSectors);
  for (let row = 0; row < columns.rowCount; row += 1) {
    const time = Math.min(
      TIME_BANDS - 1,
      Math.floor(((columns.atNs[row] as number) / Math.max(1, lastNs)) * TIME_BANDS),
    );
    const band = Math.min(
      SECTOR_BANDS - 1,
      Math.floor(((columns.sector[row] as number) / sectors) * SECTOR_BANDS),
    );
    counts[time * SECTOR_BANDS + band] = (counts[time * SECTOR_BANDS + band] as number) + 1;
    worst[time] = Math.max(worst[time] as number, columns.latencyNs[row] as number);
  }
  const bandName = (band: number): string =>
    `sectors from ${formatCount((band * sectors) / SECTOR_BANDS)}`;
  return {
    caption: 'Requests by time and sector',
    columns: [
      'from s',
      ...Array.from({ length: SECTOR_BANDS }, (_, band) => bandName(band)),
      'slowest',
    ],
    rows: Array.from({ length: TIME_BANDS }, (_, time) => [
      ((time * lastNs) / TIME_BANDS / 1e9).toFixed(2),
      ...Array.from({ length: SECTOR_BANDS }, (_, band) =>
        formatCount(counts[time * SECTOR_BANDS + band]),
      ),
      joinShown(formatLatency(worst[time])),
    ]),
  };
}

export const sectorTimePlot: RasterPlot = {
  id: 'sector-time',
  kind: 'raster',
  title: 'Where and when',
  subtitle: 'sector, colour is latency',
  isTimeline: true,
  table: (columns, result) => bandTable(columns, result.deviceSectors),
};
export { slowThresholds };
