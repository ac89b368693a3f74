// How many patches each look takes from each high-res scale. Shi et al. 2025, arXiv:2503.19903, patch selection.

import { expect } from '../../engine/gpu/errors.ts';
import { total } from './config.ts';
import type { Grid } from './scales.ts';

/** How much to look at. */
export interface LookAmount {
  /** Looks of a full budget each, or as many as cover everything. Default 1. */
  readonly looks?: number | 'all';
  /** Patches in total, instead of `looks`; the last look takes what remains. */
  readonly tokens?: number;
  /** Take patches from the first so many high-res scales only. */
  readonly onlyFirstScales?: number;
}

/**
 * Patches per high-res scale of every look.
 *
 * @param budgets  a full look's patches per high-res scale [S]
 * @param grids    patch grids of the high-res scales [S]
 * @returns        [looks][S]; no look takes what an earlier one took, none is empty
 * @throws ShapeError for impossible looks, tokens or scales
 */
export function planLooks(
  budgets: readonly number[],
  grids: readonly Grid[],
  amount: LookAmount,
): number[][] {
  const first = amount.onlyFirstScales ?? budgets.length;
  expect(
    Number.isInteger(first) && first >= 1 && first <= budgets.length,
    'encode',
    `onlyFirstScales must be an integer of 1 to ${budgets.length}`,
    `${first}`,
  );
  const available = grids.map(([Y, X]) => Y * X);
  const full = total(budgets);
  const everything = total(available.slice(0, first));
  const byLooks = amount.looks === 'all' ? everything : Math.min((amount.looks ?? 1) * full, everything);
  let remaining = amount.tokens === undefined ? byLooks : Math.min(amount.tokens, everything);
  expect(
    Number.isInteger(remaining) && remaining >= 0,
    'encode',
    'looks and tokens must be integers >= 0',
    `${remaining}`,
  );
  const plan: number[][] = [];
  while (remaining > 0) {
    const counts = lookBudgets(budgets, available, Math.min(full, remaining), first);
    counts.forEach((count, i) => {
      available[i] -= count;
    });
    remaining -= total(counts);
    plan.push(counts);
  }
  return plan;
}

/**
 * Patches to take from each scale in one look.
 *
 * @param budgets      the full look's, per scale
 * @param available    patches not taken yet, per scale
 * @param tokens       a smaller total; default: the full look
 * @param firstScales  take from the first so many scales only; default all
 * @throws ShapeError when tokens exceed the full look
 *
 * What a scale cannot use moves to later scales, then to earlier ones, so that a look is short only when nothing is left.
 */
export function lookBudgets(
  budgets: readonly number[],
  available: readonly number[],
  tokens?: number,
  firstScales: number = budgets.length,
): number[] {
  const full = total(budgets);
  const wanted = tokens ?? full;
  expect(
    Number.isInteger(wanted) && wanted >= 0 && wanted <= full,
    'selection',
    `a look must take an integer of 0 to ${full} patches`,
    `${wanted}`,
  );
  const allowed = total(budgets.slice(0, firstScales));
  const last = firstScales - 1;
  const counts = budgets.map((budget, i) => (i > last ? 0 : Math.floor((budget * wanted) / allowed)));
  counts[last] += wanted - total(counts);
  const room = available.map((count, i) => (i > last ? 0 : count));
  const up = room.map((_, i) => i);
  for (const order of [up, up.toReversed()]) {
    let surplus = 0;
    for (const i of order) {
      const take = Math.min(room[i], counts[i] + surplus);
      surplus += counts[i] - take;
      counts[i] = take;
    }
    if (surplus > 0) counts[order[order.length - 1]] += surplus;
  }
  return counts.map((count, i) => Math.min(count, room[i]));
}
