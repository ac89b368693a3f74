// Parts of all high-res patches at which a VILA-HD is asked.
import { total, type VisionConfig } from '../../../model/config/config.ts';
import type { VilaAmount } from './vila_answerer.ts';

/** Shares of all high-res patches of the paper's table; 0: low resolution alone. */
const SHARES = [0, 0.18, 0.35];
/** What is asked instead where the context is too short for these. */
const LOOKS = [0, 2, 4, 8];
/** Tokens of a question and its answer, for which the context must have room. */
const TEXT_TOKENS = 64;

/** A part of all patches to look at. */
export interface Budget {
  /** Of all high-res patches. */
  readonly share: number;
  readonly amount: VilaAmount;
}

/** What of a VILA-HD decides them. */
export interface LookingModel {
  readonly encoder: { readonly looks: boolean };
  readonly config: { readonly ratio: number };
  readonly vision: { readonly config: Pick<VisionConfig, 'gridSides' | 'budgets'> };
  readonly language: { readonly config: { readonly contextLength: number } };
}

/** Those of a model: the shares of the paper's table, or as many looks as its context holds; all patches at once for one that sees all at once. */
export function budgetsOf({
  encoder,
  vision: { config },
  config: { ratio },
  language,
}: LookingModel): Budget[] {
  if (!encoder.looks) return [{ share: 1, amount: {} }];
  const patches = total(config.gridSides.slice(1).map((side) => side * side));
  const low = Math.ceil(config.gridSides[0] / ratio) ** 2;
  const room = (language.config.contextLength - low - TEXT_TOKENS) * ratio ** 2;
  if (SHARES.every((share) => share * patches <= room))
    return SHARES.map((share) => ({
      share,
      amount: share === 0 ? { looks: 0 } : { tokens: Math.round(share * patches) },
    }));
  const look = total(config.budgets);
  return LOOKS.filter((looks) => looks * look <= room).map((looks) => ({
    share: (looks * look) / patches,
    amount: { looks },
  }));
}
