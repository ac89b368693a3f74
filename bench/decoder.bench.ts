// A decoder of Qwen2's shape: one more token behind those in the cache, by a step that is replayed, and the prompt.
import {
  type Engine,
  noGrad,
  ParameterStore,
  type QuantizedMatrix,
  quantize,
  slice,
  type Tensor,
} from '../engine/index.ts';
import { type LanguageConfig, languageConfig } from '../ps3/language/config.ts';
import { LanguageModel } from '../ps3/language/language_model.ts';
import { planLanguageParameters } from '../ps3/language/parameters.ts';
import {
  cachedRows,
  type DecoderStorage,
  type DecoderTask,
  decoderWeights,
  newIds,
  qwenSized,
} from './decoder.ts';
import { decoderLogits } from './decoder_reference.ts';
import type { BenchCase } from './harness.ts';

/** Bits of a stored weight. */
const BITS: Readonly<Record<DecoderStorage, number>> = { f32: 32, int4: 4.5 };

function createModel(engine: Engine, { config, storage }: DecoderTask): LanguageModel {
  const isInteger = (shape: readonly number[]): boolean => storage === 'int4' && shape.length === 2;
  const floats = [...planLanguageParameters(config)].filter(([, { shape }]) => !isInteger(shape));
  const parameters = new ParameterStore(
    engine,
    floats.map(([name, { shape }]) => ({ name, shape })),
  );
  const integers = new Map<string, QuantizedMatrix>();
  for (const { name, shape, values } of decoderWeights(config)) {
    if (!isInteger(shape)) {
      parameters.get(name).write(values);
      continue;
    }
    const one = new ParameterStore(engine, [{ name, shape }]);
    one.get(name).write(values);
    integers.set(name, quantize(one.get(name), { bits: 4 }));
    one.dispose();
  }
  return new LanguageModel(engine, config, parameters, undefined, integers);
}

/** @param sizes  of the decoder, in words */
function decoderCase(
  sizes: string,
  config: LanguageConfig,
  storage: DecoderStorage,
  { tokens = 1, position = 0, quick = false },
): BenchCase {
  const task: DecoderTask = { config, storage, tokens, position };
  const { width: D, layers, kvHeads, headSize, vocabSize: V } = config;
  const counts = [...planLanguageParameters(config)].map(([name, { shape }]) => {
    return { isEmbedding: name.includes('embed'), size: shape.reduce((size, extent) => size * extent, 1) };
  });
  const read = counts.reduce((sum, { size }) => sum + size, 0);
  const perToken = counts.reduce((sum, { isEmbedding, size }) => sum + (isEmbedding ? 0 : size), 0);
  let want: Float64Array | undefined;
  return {
    op: tokens === 1 ? `decode a token, weights ${storage}` : `read a prompt, weights ${storage}`,
    shape: tokens === 1 ? `${sizes}, after ${position}` : `${sizes}, ${tokens} tokens`,
    flops: 2 * (tokens * perToken + V * D),
    bytes: (read * BITS[storage]) / 8 + 8 * layers * position * kvHeads * headSize,
    quick,
    clock: 'wall',
    // Logits are of size 1, and 24 blocks deep.
    tolerance: 1e-3,
    // Of 24 layers the head is larger than a binding of CPU adapters.
    peer: quick || layers === 24 ? undefined : { name: 'decoder', task },
    prepare: (engine) => {
      const model = createModel(engine, task);
      const cache = model.newCache({ length: config.contextLength });
      for (let block = 0; block < layers; block++) cache.layer(block).write(cachedRows(config, block));
      const ids = engine.tensor(newIds(task), [1, tokens]);
      const start = engine.tensor(Int32Array.of(position));
      const logits = (ids: Tensor, offset?: number): Tensor<'f32'> => {
        const h = model.decode(model.embed(ids), { cache, offset });
        const last = slice(h, { axis: 1, start: tokens - 1, length: 1 });
        return model.logits(last.reshape([1, D]), { isInference: true });
      };
      const step =
        tokens === 1 &&
        engine.capture(
          (ids, start) =>
            noGrad(() => {
              cache.positions.write(start);
              return { logits: logits(ids) };
            }),
          ids,
          start,
        );
      return {
        run: () => {
          if (!step) {
            using scope = engine.scope();
            return noGrad(() => logits(ids.in(scope), position)).moveTo(undefined);
          }
          step.replay();
          return step.outputs.logits.view(0, [1, V]);
        },
        maxError: async (out) => {
          want ??= decoderLogits(task);
          const got = await out.data();
          return want.reduce((worst, logit, v) => Math.max(worst, Math.abs(logit - got[v])), 0);
        },
        dispose: () => {
          if (step) step.dispose();
          cache.dispose();
          model.dispose();
        },
      };
    },
  };
}

const TINY = languageConfig({
  ...{ vocabSize: 300, width: 64, layers: 2, heads: 4, kvHeads: 2, mlpHidden: 96, contextLength: 64 },
});
/** As deep and with as many ids as other libraries can read within seconds on a software adapter, in one binding. */
const FEW = [2, 32_768] as const;
const WHOLE = [24, 151_936] as const;
const inWords = (layers: number, vocabulary: number): string => `${layers}x896, ${vocabulary} ids`;

export const cases: BenchCase[] = (['f32', 'int4'] as const).flatMap((storage) => [
  decoderCase('2x64, 300 ids', TINY, storage, { position: 17, quick: true }),
  decoderCase('2x64, 300 ids', TINY, storage, { tokens: 9, quick: true }),
  decoderCase(inWords(...FEW), qwenSized(...FEW), storage, { position: 256 }),
  decoderCase(inWords(...WHOLE), qwenSized(...WHOLE), storage, { position: 256 }),
  decoderCase(inWords(1, 8192), qwenSized(1, 8192), storage, { tokens: 512 }),
]);
