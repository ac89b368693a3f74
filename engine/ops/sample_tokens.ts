import source from '../../shaders/sample_tokens.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { type Define, kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

const sample = kernel(source, 'sample_tokens');

/** Root of the invocations of a row: a driver for CPUs gives those that wait at a barrier stacks each. */
const SIDE = { cpu: 4, gpu: 16 } as const;

function planSample({ kind }: Target): Define {
  return { SIDE: SIDE[kind] };
}

/** How tokens are chosen. */
export interface SamplingOptions {
  /** Divides logits; 0, the default, always takes the most probable token. */
  readonly temperature?: number;
  /** Draws from so many of the most probable tokens; default: all. */
  readonly topK?: number;
  /** Draws from the fewest tokens whose probabilities reach this sum; default 1: all. */
  readonly topP?: number;
  /** Makes tokens that were there already less probable: positive logits are divided by this, negative ones multiplied. Default 1. */
  readonly repetitionPenalty?: number;
  /** Decides what is drawn, in [0, 2^32); default 0. */
  readonly seed?: number;
}

const SAMPLING = { temperature: true, topK: true, topP: true, repetitionPenalty: true, seed: true } as const;

/** What is on the GPU of the texts so far, and goes on with each token. */
export interface SamplingState {
  /** u32 [B], tokens drawn in each row: the number of the next one. Advanced by one. */
  readonly steps: Tensor;
  /** u32 [B, ceil(V / 32)], a bit for each token that was there, the lowest first; takes the drawn ones. For `repetitionPenalty`. */
  readonly seen?: Tensor;
}

/** @param keys  further options that there are @throws ShapeError naming the option that is unknown or out of range */
export function expectSampling(
  op: string,
  options: SamplingOptions,
  keys: Readonly<Record<string, true>> = {},
): void {
  expectKeys(op, options, { ...SAMPLING, ...keys });
  const { temperature = 0, topK = 1, topP = 1, repetitionPenalty = 1, seed = 0 } = options;
  expect(temperature >= 0, op, 'temperature must be at least 0', `${temperature}`);
  expect(Number.isSafeInteger(topK) && topK >= 1, op, 'topK must be a whole number from 1', `${topK}`);
  expect(topP > 0 && topP <= 1, op, 'topP must be in (0, 1]', `${topP}`);
  expect(repetitionPenalty > 0, op, 'repetitionPenalty must be positive', `${repetitionPenalty}`);
  const isU32 = Number.isSafeInteger(seed) && seed >= 0 && seed < 2 ** 32;
  expect(isU32, op, 'seed must be in [0, 2^32)', `${seed}`);
}

/**
 * The next token of each row: the most probable one, or one drawn by its probability. What is drawn depends on logits,
 * seed, row and number of the step alone; in a capture, each replay draws the next one. No gradient.
 *
 *     const next = sampleTokens(logits, { steps, temperature: 0.7, topP: 0.9, seed: 1 });
 *
 * Penalty, temperature, top-k and top-p apply in this order; of equally probable tokens at a cut, the lower ids stay.
 *
 * @param logits  f32 [B, V]
 * @returns       u32 [B]
 * @throws ShapeError when an option is out of range, or extents disagree
 * Source of the order: transformers, generation/logits_process.py.
 */
export function sampleTokens(logits: Tensor, options: SamplingState & SamplingOptions): Tensor<'u32'> {
  const op = 'sampleTokens';
  expectDType(op, 'logits', logits, 'f32');
  expectSampling(op, options, { steps: true, seen: true });
  const { steps, seen, temperature = 0, topK, topP = 1, repetitionPenalty: penalty = 1, seed = 0 } = options;
  expectDType(op, 'steps', steps, 'u32');
  const [B, V] = logits.shape;
  expect(logits.shape.length === 2 && V > 0, op, 'logits must be [B, V]', show(logits.shape));
  expect(steps.shape.length === 1 && steps.size === B, op, `steps must be [${B}]`, show(steps.shape));
  const isPenalised = penalty !== 1;
  if (isPenalised) {
    const shape = [B, Math.ceil(V / 32)];
    const given = seen ? show(seen.shape) : 'none';
    expect(seen?.shape.join() === shape.join(), op, `seen must be ${show(shape)} for a penalty`, given);
    expectDType(op, 'seen', seen!, 'u32');
  }
  const GREEDY = temperature === 0 || topK === 1;
  using weights = GREEDY ? undefined : output([logits], [B, V], 'u32');
  const tokens = output([logits], [B], 'u32');
  run(sample, {
    bind: { logits, seen: isPenalised ? seen : undefined, steps, weights, tokens },
    define: { PENALISED: isPenalised, GREEDY, ...planSample(logits.gpu.target) },
    params: {
      ...{ B, V, temperature, penalty, seed },
      top_k: topK !== undefined && topK < V ? topK : 0,
      top_p: topP < 1 ? Math.max(1, Math.floor(topP * 2 ** 32)) : 0,
    },
    groups: B,
  });
  return tokens;
}
