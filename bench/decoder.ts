// A decoder of Qwen2's shape with random weights, the model that libraries are compared on in generating text: what it is
// made of, so that any library can be given the same one.
import { type LanguageConfig, languageConfig } from '../ps3/language/config.ts';
import { planLanguageParameters } from '../ps3/language/parameters.ts';
import { repeated, uniform, wave } from './operands.ts';

/** How matrices are stored; 4 bits have a factor for each 32 neighbours. */
export type DecoderStorage = 'f32' | 'int4';

/** What is asked of a decoder: logits of the token after `tokens` new ones that follow `position` cached ones. */
export interface DecoderTask {
  readonly config: LanguageConfig;
  readonly storage: DecoderStorage;
  readonly tokens: number;
  readonly position: number;
}

/** Sizes of Qwen2.5-0.5B, but for the blocks and the vocabulary; `contextLength` is the room of the cache. */
export function qwenSized(layers: number, vocabSize: number): LanguageConfig {
  return languageConfig({
    ...{ width: 896, heads: 14, kvHeads: 2, mlpHidden: 4864, ropeTheta: 1e6, contextLength: 512 },
    ...{ layers, vocabSize },
  });
}

/** Neighbours that share a factor, and the largest magnitude of an integer. */
export const GROUP = 32;
const LARGEST = 8;

const NOISE = uniform(65_521, 1, 1); // a prime, so that no two rows are alike

const noise = (seed: number, count: number, of: (value: number) => number): Float32Array =>
  repeated(
    Float32Array.from({ length: NOISE.length }, (_, i) => of(NOISE[(i + 7919 * seed) % NOISE.length])),
    count,
  );

/** A parameter of the model; `[N, K]` is multiplied by rows of K. */
export interface DecoderWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
  /** Of a matrix: each weight is so much times an integer in [-8, 7], and -8 is in each group. */
  readonly factor?: number;
}

/** Parameters one after the other, by the names of ps3/language; none is kept. */
export function* decoderWeights(config: LanguageConfig): Generator<DecoderWeight> {
  let seed = 0;
  for (const [name, { shape }] of planLanguageParameters(config)) {
    seed++;
    const [N, K = 1] = shape;
    if (shape.length === 1) {
      const isNorm = name.endsWith('norm.weight');
      yield { name, shape, values: noise(seed, N, (value) => (isNorm ? 1 + value / 4 : value / 8)) };
      continue;
    }
    // A product of numbers of size 1 is about as large.
    const factor = 2 ** -Math.round(Math.log2(Math.sqrt(K / 3))) / LARGEST;
    const values = noise(seed, N * K, (value) => Math.round((LARGEST - 1) * value) * factor);
    for (let group = 0; group < values.length / GROUP; group++)
      values[group * GROUP + ((group * 7) % GROUP)] = -LARGEST * factor;
    yield { name, shape, values, factor };
  }
}

/** Integers of a matrix in two's complement, the first of two in the lower bits of a byte. */
export function packedIntegers({ values, factor = 1 }: DecoderWeight): Uint8Array {
  const integer = (e: number): number => (values[e] / factor) & 15;
  return Uint8Array.from(
    { length: values.length / 2 },
    (_, at) => integer(2 * at) | (integer(2 * at + 1) << 4),
  );
}

/** Keys and values of a block as ps3/language caches them, [contextLength, 2 G K], of which `position` tokens count. */
export function cachedRows(
  { kvHeads, headSize, contextLength }: LanguageConfig,
  block: number,
): Float32Array {
  return wave(contextLength * 2 * kvHeads * headSize, 0.7 + block / 8);
}

/** Ids of the new tokens. */
export function newIds({ config, tokens }: DecoderTask): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: tokens }, (_, t) => (7919 * t + 11) % config.vocabSize);
}

/** Cosines, or sines, of the angles of all positions: [contextLength, K / 2]. */
export function rotations(
  { headSize, ropeTheta, contextLength }: LanguageConfig,
  of: (angle: number) => number,
): Float32Array {
  const pairs = headSize / 2;
  return Float32Array.from({ length: contextLength * pairs }, (_, i) =>
    of(Math.floor(i / pairs) * ropeTheta ** ((-2 * (i % pairs)) / headSize)),
  );
}
