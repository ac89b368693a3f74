// How many patches each look takes from each high-res scale. Shi et al. 2025, arXiv:2503.19903, patch selection.

import { expect } from '../../../engine/errors.ts';
import { total } from '../config/config.ts';
import type { Grid } from './scales.ts';

/** How much to look at. */
export interface LookAmount {
  /** Looks of a full budget each, or as many as cover everything. Default 1. */
  readonly looks?: number | 'all';
  /** Patches in total, instead of `looks`; the last look takes what remains. */
  readonly tokens?: number | 'all';
  /** Take patches from the first so many high-res scales only. */
  readonly onlyFirstScales?: number;
}

/** Checks the amounts that a caller asks for. @throws ShapeError for impossible looks, tokens or scales */
export function expectLookAmount(op: string, scales: number, amount: LookAmount): void {
  const { looks, tokens, onlyFirstScales: first = scales } = amount;
  const isScale = Number.isInteger(first) && first >= 1 && first <= scales;
  expect(isScale, op, `onlyFirstScales must be an integer of 1 to ${scales}`, `${first}`);
  const isOne = looks === undefined || tokens === undefined;
  expect(isOne, op, 'looks and tokens exclude each other', `${looks} and ${tokens}`, 'Pass one.');
  const asked = tokens ?? looks ?? 1;
  const isAmount = asked === 'all' || (Number.isInteger(asked) && asked >= 0);
  expect(isAmount, op, 'looks and tokens must be integers >= 0', `${asked}`);
}

/**
 * Patches per high-res scale of every look.
 *
 * @param budgets  a full look's patches per high-res scale [S]
 * @param grids    patch grids of the high-res scales [S]
 * @returns        [looks][S]; no look takes what an earlier one took
 * @throws ShapeError for impossible looks, tokens or scales
 */
export function planLooks(
  budgets: readonly number[],
  grids: readonly Grid[],
  amount: LookAmount,
): number[][] {
  expectLookAmount('planLooks', budgets.length, amount);
  const first = amount.onlyFirstScales ?? budgets.length;
  const available = grids.map(([Y, X]) => Y * X);
  const full = total(budgets);
  const everything = total(available.slice(0, first));
  const looks = amount.tokens === 'all' ? 'all' : (amount.looks ?? 1);
  const tokens = amount.tokens === 'all' ? undefined : amount.tokens;
  const plan: number[][] = [];
  const take = (wanted: number, spillBack: boolean): number => {
    const counts = lookBudgets(budgets, available, wanted, first, spillBack);
    counts.forEach((count, i) => {
      available[i] -= count;
    });
    plan.push(counts);
    return total(counts);
  };
  // As the reference does it: full looks, the last of a number of tokens shorter.
  const goal = tokens !== undefined ? Math.min(tokens, everything) : everything;
  const lookLimit = tokens === undefined && looks !== 'all' ? looks : Number.POSITIVE_INFINITY;
  let left = goal;
  for (let i = 0; i < Math.min(lookLimit, Math.ceil(goal / full)); i++)
    left -= take(tokens === undefined ? full : Math.min(full, goal - i * full), false);
  // Where the last scale had run out before the others, the reference leaves patches out.
  if (lookLimit === Number.POSITIVE_INFINITY) while (left > 0) left -= take(Math.min(full, left), true);
  return plan;
}

/**
 * Patches to take from each scale in one look.
 *
 * @param budgets      the full look's, per scale
 * @param available    patches not taken yet, per scale
 * @param tokens       a smaller total; default: the full look
 * @param firstScales  take from the first so many scales only; default all
 * @param spillBack    what remains moves to earlier scales too, so that a look is short only when nothing is left
 * @throws ShapeError when tokens exceed the full look
 *
 * What a scale cannot use moves to later ones; what the last cannot use is dropped, as in the reference. Where the first scales have no
 * budget of their own, the last of them takes the look.
 */
export function lookBudgets(
  budgets: readonly number[],
  available: readonly number[],
  tokens?: number,
  firstScales: number = budgets.length,
  spillBack = false,
): number[] {
  const full = total(budgets);
  const wanted = tokens ?? full;
  expect(
    Number.isInteger(wanted) && wanted >= 0 && wanted <= full,
    'lookBudgets',
    `a look must take an integer of 0 to ${full} patches`,
    `${wanted}`,
  );
  const allowed = total(budgets.slice(0, firstScales));
  const last = firstScales - 1;
  const share = (budget: number): number => (allowed === 0 ? 0 : Math.floor((budget * wanted) / allowed));
  const counts = budgets.map((budget, i) => (i > last ? 0 : share(budget)));
  counts[last] += wanted - total(counts);
  const room = available.map((count, i) => (i > last ? 0 : count));
  const up = room.map((_, i) => i);
  for (const order of spillBack ? [up, up.toReversed()] : [up]) {
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
