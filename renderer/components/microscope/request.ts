// SPDX-License-Identifier: GPL-2.0-only
/** The request under the microscope, and its form in an address: every explanation has a link of its own. Pure. */
import type { LocationQuery, LocationQueryRaw } from 'vue-router';

export interface AskedRequest {
  readonly op: 'read' | 'write';
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly memoryOffsetBytes: number;
  readonly isAsync: boolean;
  readonly isDsync: boolean;
}
export const FIRST_REQUEST: AskedRequest = {
  op: 'read',
  offsetBytes: 1536,
  lengthBytes: 4096,
  memoryOffsetBytes: 0,
  isAsync: false,
  isDsync: false,
};
export const requestToQuery = (request: AskedRequest): LocationQueryRaw => ({
  op: request.op,
  offset: String(request.offsetBytes),
  length: String(request.lengthBytes),
  memory: String(request.memoryOffsetBytes),
  ...(request.isAsync && { async: '1' }),
  ...(request.isDsync && { dsync: '1' }),
});
/** What the address says; what it leaves out, or says wrongly, is as in `otherwise`. */
export function requestFromQuery(query: LocationQuery, otherwise: AskedRequest): AskedRequest {
  const whole = (name: string, fallback: number, max: number): number => {
    const value = Number(query[name] ?? NaN);
    return Number.isSafeInteger(value) && value >= 0 && value <= max ? value : fallback;
  };
  return {
    op: query['op'] === 'write' ? 'write' : query['op'] === 'read' ? 'read' : otherwise.op,
    offsetBytes: whole('offset', otherwise.offsetBytes, 2 ** 46),
    lengthBytes: whole('length', otherwise.lengthBytes, 2 ** 24),
    memoryOffsetBytes: whole('memory', otherwise.memoryOffsetBytes, 4095),
    isAsync: query['async'] === '1' || (query['async'] === undefined && otherwise.isAsync),
    isDsync: query['dsync'] === '1' || (query['dsync'] === undefined && otherwise.isDsync),
  };
}
