// SPDX-License-Identifier: GPL-2.0-only
/** engine/workload: a job's description turned into a stream of requests. */
export * from './distributions.ts';
export * from './free-map.ts';
export * from './permutation.ts';
export * from './request-stream.ts';
