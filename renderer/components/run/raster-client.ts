// SPDX-License-Identifier: GPL-2.0-only
/**
 * The page's end of the raster worker. At most one view is on its way; while it is, only the newest wish is kept, so that zooming never
 * queues up. Where workers cannot be made, the same functions run on the page.
 */
import type { RequestColumns } from '../../../main/contract/bulk.ts';
import {
  binRequests, nearestRequest, paintBins, slowThresholds,
  type RasterPalette, type RasterView, type SlowThresholds,
} from '../../plots/raster.ts'; // prettier-ignore
import type { RasterAnswer, RasterRequest } from '../../plots/raster-worker.ts';
import workerUrl from '../../plots/raster-worker.ts?worker&url';

interface TrustedPolicy {
  createScriptURL(url: string): string;
}
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): TrustedPolicy;
}
let policy: TrustedPolicy | null = null;
/** The page requires trusted types: the only script address that this policy lets through is the raster worker's. */
function trustedWorkerUrl(): string {
  const types = (window as { trustedTypes?: TrustedTypes }).trustedTypes;
  if (types === undefined) return workerUrl;
  policy ??= types.createPolicy('diolab-raster', {
    createScriptURL: (url) => {
      if (url !== workerUrl) throw new TypeError('not the raster worker');
      return url;
    },
  });
  return policy.createScriptURL(workerUrl);
}

export interface RasterListeners {
  onPixels(answer: Extract<RasterAnswer, { kind: 'pixels' }>): void;
  onPicked(row: number): void;
}

export class RasterClient {
  private worker: Worker | null = null;
  private columns: RequestColumns | null = null;
  private slow: SlowThresholds = { slowNs: Infinity, slowestNs: Infinity };
  private serial = 0;
  private isDrawing = false;
  private isPicking = false;
  private nextView: RasterRequest | null = null;
  private nextPick: RasterRequest | null = null;

  constructor(private readonly listeners: RasterListeners) {
    if (typeof Worker === 'undefined') return;
    this.worker = new Worker(trustedWorkerUrl(), { type: 'module' });
    this.worker.onmessage = (event: MessageEvent<RasterAnswer>) => {
      this.take(event.data);
    };
  }
  close(): void {
    this.worker?.terminate();
  }
  load(columns: RequestColumns): void {
    this.columns = columns;
    if (this.worker) this.send({ kind: 'columns', columns });
    else this.slow = slowThresholds(columns.latencyNs, columns.rowCount);
  }
  draw(view: RasterView, width: number, height: number, palette: RasterPalette): void {
    const request: RasterRequest = {
      kind: 'view', serial: ++this.serial, view: { ...view }, width, height, palette: [...palette],
    }; // prettier-ignore
    if (this.isDrawing) this.nextView = request;
    else this.begin(request);
  }
  pick(view: RasterView, width: number, height: number, x: number, y: number): void {
    const request: RasterRequest = {
      kind: 'pick', serial: ++this.serial, view: { ...view }, width, height, x, y,
    }; // prettier-ignore
    if (this.isPicking) this.nextPick = request;
    else this.begin(request);
  }
  private send(request: RasterRequest): void {
    this.worker?.postMessage(request);
  }
  private begin(request: RasterRequest): void {
    if (request.kind === 'view') this.isDrawing = true;
    else this.isPicking = true;
    if (this.worker) this.send(request);
    else queueMicrotask(() => this.compute(request));
  }
  /** Without a worker. */
  private compute(request: RasterRequest): void {
    const { columns } = this;
    if (columns === null || request.kind === 'columns') return;
    const { serial, view, width, height } = request;
    if (request.kind === 'pick') {
      const row = nearestRequest(columns, view, width, height, request, 12);
      this.take({ kind: 'picked', serial, row });
      return;
    }
    const bins = binRequests(columns, view, width, height, this.slow);
    const pixels = paintBins(bins, request.palette);
    this.take({
      kind: 'pixels',
      serial,
      view,
      width,
      height,
      pixels,
      inside: bins.inside,
      slow: this.slow,
    });
  }
  private take(answer: RasterAnswer): void {
    if (answer.kind === 'picked') {
      this.isPicking = false;
      this.listeners.onPicked(answer.row);
      const next = this.nextPick;
      this.nextPick = null;
      if (next) this.begin(next);
      return;
    }
    this.isDrawing = false;
    this.listeners.onPixels(answer);
    const next = this.nextView;
    this.nextView = null;
    if (next) this.begin(next);
  }
}
