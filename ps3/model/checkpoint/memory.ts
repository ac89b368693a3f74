// How much memory a model needs, told before anything is allocated.
import { type Engine, freeMemoryBytes, MemoryError } from '../../../engine/index.ts';
import type { ModelCore } from '../core.ts';
import { encodeBlank } from '../cost.ts';
import type { WeightDType } from './checkpoint.ts';

/** Bytes on the GPU. */
export interface MemoryNeed {
  /** Of the weights. */
  readonly weightsBytes: number;
  /** Highest, weights included, while one image is encoded with one look. */
  readonly peakBytes: number;
}

/** Goes through one look of a model without running it. @param make  makes the model to look with */
export function memoryNeed(engine: Engine, make: () => ModelCore): MemoryNeed {
  const { liveBytes } = engine.stats();
  let weightsBytes = 0;
  const { peakBytes } = engine.plan(() => {
    using model = make();
    for (const { values } of model.parameters.arenas) weightsBytes += values.sizeBytes;
    encodeBlank(engine, model);
  });
  return { weightsBytes, peakBytes: peakBytes - liveBytes };
}

/**
 * Refuses a model that does not fit.
 *
 * @param needAs  what the model needs with its matrices kept in another dtype
 * @throws MemoryError naming the alternatives
 */
export function expectMemory(
  limitBytes: number,
  storage: WeightDType | 'stored',
  needAs: (storage: WeightDType | 'stored') => MemoryNeed,
): void {
  if (limitBytes === Number.POSITIVE_INFINITY) return; // going through a look takes time
  const need = needAs(storage);
  if (need.peakBytes <= limitBytes) return;
  const half = needAs('bf16');
  const lookBytes = need.peakBytes - need.weightsBytes;
  const advice =
    half.peakBytes <= limitBytes && half.peakBytes < need.peakBytes
      ? `Load it with storage 'bf16': that needs ${inGB(half.peakBytes)}.`
      : `With storage 'bf16' it would still need ${inGB(half.peakBytes)}: use a smaller model, or another GPU.`;
  throw new MemoryError(
    `PS3.load: the model must fit into ${inGB(limitBytes)}, got ${inGB(need.weightsBytes)} of weights as ${storage} and ${inGB(lookBytes)} for a look. ${advice}`,
  );
}

const inGB = (bytes: number): string => `${(bytes / 1e9).toPrecision(3)} GB`;

/** Memory that a model can have: of the machine where the adapter is software; unknown, hence no limit, on GPUs. */
export async function freeBytes({ isSoftware }: Engine): Promise<number> {
  return isSoftware ? await freeMemoryBytes() : Number.POSITIVE_INFINITY;
}
