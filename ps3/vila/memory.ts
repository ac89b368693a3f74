// How much memory a VILA-HD needs, told before anything of its weights is read.
import { MemoryError, size } from '../../engine/index.ts';
import type { LanguageConfig } from '../language/config.ts';
import type { MemoryNeed } from '../model/checkpoint/memory.ts';
import type { VisionConfig } from '../model/config/config.ts';
import { total } from '../model/config/config.ts';

/** Tokens of a question and its answer, for which there must be room beside those of an image. */
const TEXT_TOKENS = 1024;
/** Tokens of a prompt that go through the language model together. */
const PASS_TOKENS = 2048;

/** Bits of a number of a matrix; integers are in groups of 32 with a factor in f16. Vectors are in f32. */
const BITS = { f32: 32, f16: 16, bf16: 16, int8: 8.5, int4: 4.5 } as const;

/** A weight, and how it is kept. */
export interface PlannedWeight {
  readonly shape: readonly number[];
  readonly dtype: keyof typeof BITS;
}

/**
 * The need of a model that answers a question about one image after one look.
 *
 *   weights  sum of size * bits / 8
 *   tower    keys and values of the low-res pass, and what a block holds of a look's patches
 *   text     8 layers G K bytes a token for keys and values, and what a block holds of a pass over the prompt
 */
export function vilaNeed(
  weights: Iterable<PlannedWeight>,
  language: LanguageConfig,
  vision: VisionConfig,
): MemoryNeed {
  let weightsBytes = 0;
  for (const { shape, dtype } of weights)
    weightsBytes += (size(shape) * (shape.length < 2 ? 32 : BITS[dtype])) / 8;
  const { width: D, mlpHidden: F, depth, maxSelect, gridSides, scalesPx } = vision;
  const lowTokens = gridSides[0] ** 2;
  const patches = total(gridSides.slice(1).map((side) => side * side));
  const block = (tokens: number): number => tokens * (4 * D + 3 * D + 2 * F);
  const tower =
    3 * depth * lowTokens * D +
    block(Math.max(lowTokens, maxSelect)) +
    6 * patches +
    Math.max(...scalesPx) ** 2;
  const { layers, kvHeads, headSize, width: d, mlpHidden: f, vocabSize } = language;
  const tokens = lowTokens + maxSelect / 4 + TEXT_TOKENS;
  const text =
    2 * layers * kvHeads * headSize * tokens +
    Math.min(tokens, PASS_TOKENS) * (6 * d + 3 * f) +
    2 * vocabSize;
  return { weightsBytes, peakBytes: weightsBytes + 4 * (tower + text) };
}

const inGB = (bytes: number): string => `${(bytes / 1e9).toPrecision(3)} GB`;

/** Refuses a model that does not fit. @throws MemoryError with what it needs, and what would need less */
export function expectVilaMemory(limitBytes: number, need: MemoryNeed, storage: string): void {
  if (need.peakBytes <= limitBytes) return;
  throw new MemoryError(
    `VilaModel.load: the model must fit into ${inGB(limitBytes)}, got ${inGB(need.weightsBytes)} of weights (${storage}) and ${inGB(need.peakBytes - need.weightsBytes)} for a look and its answer. Load it with storage 'bf16' and languageStorage 'int4', use a smaller model, or another GPU.`,
  );
}
