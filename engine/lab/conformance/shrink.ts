// SPDX-License-Identifier: GPL-2.0-only
/**
 * Makes a scenario smaller as long as something stays true of it: removes requests, segments, extents, ranges and settings, one at a
 * time, until nothing more can go. Greedy and deterministic; the number of tries is bounded.
 */
import type { Scenario, ScenarioRequest } from './scenario.ts';

const TRIES_MAX = 600;
const LIST_KEYS = ['extents', 'gberr', 'bad', 'ro', 'bioerr'] as const;

/** The smallest scenario found for which `stillHolds` is true. `stillHolds` must be true of `scenario` itself. */
export function shrinkScenario(
  scenario: Scenario,
  stillHolds: (candidate: Scenario) => boolean,
): Scenario {
  let best = scenario;
  let tries = 0;
  for (let progress = true; progress && tries < TRIES_MAX;) {
    progress = false;
    for (const candidate of smallerScenarios(best)) {
      if (++tries > TRIES_MAX) break;
      if (!stillHolds(candidate)) continue;
      best = candidate;
      progress = true;
      break;
    }
  }
  return best;
}

/** Candidates with one thing less each, large steps first. */
function* smallerScenarios(scenario: Scenario): Generator<Scenario> {
  for (let index = scenario.reqs.length - 1; index >= 0 && scenario.reqs.length > 1; index--) {
    yield { ...scenario, reqs: without(scenario.reqs, index) };
  }
  for (const key of Object.keys(scenario)) {
    if (key === 'reqs' || key === 'size' || key === 'sectors' || key === 'pages') continue;
    const rest: Record<string, unknown> = { ...scenario };
    delete rest[key];
    yield rest as unknown as Scenario;
  }
  for (const key of LIST_KEYS) {
    const list = scenario[key] ?? [];
    for (let index = 0; index < list.length && list.length > 1; index++) {
      yield { ...scenario, [key]: without(list as readonly unknown[], index) };
    }
  }
  for (const [index, request] of scenario.reqs.entries()) {
    for (const smaller of smallerRequests(request)) {
      yield { ...scenario, reqs: scenario.reqs.with(index, smaller) };
    }
  }
}

function* smallerRequests(request: ScenarioRequest): Generator<ScenarioRequest> {
  for (let index = 0; index < request.iov.length && request.iov.length > 1; index++) {
    yield { ...request, iov: without(request.iov, index) };
  }
  for (const key of Object.keys(request)) {
    if (key === 'op' || key === 'pos' || key === 'iov') continue;
    const rest: Record<string, unknown> = { ...request };
    delete rest[key];
    yield rest as unknown as ScenarioRequest;
  }
  for (const [index, [address, length]] of request.iov.entries()) {
    for (const shorter of [Math.floor(length / 8192) * 4096, length - 4096, length - 512]) {
      if (shorter <= 0 || shorter >= length) continue;
      yield { ...request, iov: request.iov.with(index, [address, shorter]) };
    }
  }
}

function without<T>(list: readonly T[], index: number): T[] {
  return list.filter((_, at) => at !== index);
}
