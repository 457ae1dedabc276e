// SPDX-License-Identifier: GPL-2.0-only
/** Runs the raster beside the page: takes the columns once, then one view after another; answers with pixels. */
import type { RequestColumns } from '../../main/contract/bulk.ts';
import {
  binRequests, nearestRequest, paintBins, slowThresholds,
  type RasterPalette, type RasterView, type SlowThresholds,
} from './raster.ts'; // prettier-ignore

export type RasterRequest =
  | { readonly kind: 'columns'; readonly columns: RequestColumns }
  | {
      readonly kind: 'view';
      readonly serial: number;
      readonly view: RasterView;
      readonly width: number;
      readonly height: number;
      readonly palette: RasterPalette;
    }
  | {
      readonly kind: 'pick';
      readonly serial: number;
      readonly view: RasterView;
      readonly width: number;
      readonly height: number;
      readonly x: number;
      readonly y: number;
    };
export type RasterAnswer =
  | {
      readonly kind: 'pixels';
      readonly serial: number;
      readonly view: RasterView;
      readonly width: number;
      readonly height: number;
      readonly pixels: Uint8ClampedArray<ArrayBuffer>;
      readonly inside: number;
      readonly slow: SlowThresholds;
    }
  | { readonly kind: 'picked'; readonly serial: number; readonly row: number };

const REACH_PIXELS = 12;
let columns: RequestColumns | null = null;
let slow: SlowThresholds = { slowNs: Infinity, slowestNs: Infinity };

const port = self as unknown as {
  onmessage: ((event: MessageEvent<RasterRequest>) => void) | null;
  postMessage(message: RasterAnswer, transfer?: Transferable[]): void;
};
port.onmessage = (event) => {
  const request = event.data;
  if (request.kind === 'columns') {
    columns = request.columns;
    slow = slowThresholds(columns.latencyNs, columns.rowCount);
    return;
  }
  if (columns === null) return;
  const { serial, view, width, height } = request;
  if (request.kind === 'pick') {
    const row = nearestRequest(columns, view, width, height, request, REACH_PIXELS);
    port.postMessage({ kind: 'picked', serial, row });
    return;
  }
  const bins = binRequests(columns, view, width, height, slow);
  const pixels = paintBins(bins, request.palette);
  port.postMessage(
    { kind: 'pixels', serial, view, width, height, pixels, inside: bins.inside, slow },
    [pixels.buffer],
  );
};
