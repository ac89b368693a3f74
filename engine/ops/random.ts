import source from '../../shaders/random.wgsl' with { type: 'text' };
import { expectKeys, UseError } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { type Like, outputLike, runEach } from '../tensor/dispatch.ts';
import { expectU32 } from '../tensor/random.ts';
import type { Shape } from '../tensor/shape.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';

const draw = kernel(source, 'random');

/** Which random numbers: the same key gives the same numbers in every runtime. */
export interface RandomKey {
  /** Integer in [0, 2^32). */
  readonly seed: number;
  /** Integer in [0, 2^32), default 0; other streams of one seed are independent. */
  readonly stream?: number;
}

function drawn<D extends DType>(
  like: Like,
  shape: Shape,
  { seed, stream = 0 }: RandomKey,
  KIND: string,
  scale: number,
  shift: number,
  dtype: D,
): Tensor<D> {
  expectU32('seed', seed);
  expectU32('stream', stream);
  if (like.gpu.purpose === 'capture')
    throw new UseError(
      `random: a captured step would draw the numbers of seed ${seed}, stream ${stream} at every replay. Draw before the replay and write() them into an input.`,
    );
  const y = outputLike(like, shape, dtype);
  runEach(draw, {
    bind: { y },
    define: { KIND },
    params: { n: Math.ceil(y.size / 2), elements: y.size, seed, stream, scale, shift },
  });
  return y;
}

/**
 * Random 32-bit words: element e is word e of `new Random(seed, stream)`.
 *
 * @param like  a tensor, whose device and scope the result gets, or the engine
 * @returns     u32
 * @throws UseError when seed or stream is not an integer in [0, 2^32)
 */
export function randomBits(like: Like, shape: Shape, key: RandomKey): Tensor<'u32'> {
  expectKeys('randomBits', key, { seed: true, stream: true });
  return drawn(like, shape, key, 'BITS', 1, 0, 'u32');
}

/**
 * Uniform in [low, high), in 2^24 steps. Equal keys give equal bits on every adapter when the interval is [0, 1).
 *
 * @param like  a tensor, whose device and scope the result gets, or the engine
 * @throws UseError when seed or stream is not an integer in [0, 2^32)
 */
export function randomUniform(
  like: Like,
  shape: Shape,
  options: RandomKey & { readonly low?: number; readonly high?: number },
): Tensor<'f32'> {
  expectKeys('randomUniform', options, { seed: true, stream: true, low: true, high: true });
  const { low = 0, high = 1, ...key } = options;
  return drawn(like, shape, key, 'UNIFORM', high - low, low, 'f32');
}

/**
 * Normal with the given mean and standard deviation (default 0 and 1). Equal keys give numbers equal up to the accuracy of the
 * adapter's log, cos and sin.
 *
 * @param like  a tensor, whose device and scope the result gets, or the engine
 * @throws UseError when seed or stream is not an integer in [0, 2^32)
 */
export function randomNormal(
  like: Like,
  shape: Shape,
  options: RandomKey & { readonly mean?: number; readonly std?: number },
): Tensor<'f32'> {
  expectKeys('randomNormal', options, { seed: true, stream: true, mean: true, std: true });
  const { mean = 0, std = 1, ...key } = options;
  return drawn(like, shape, key, 'NORMAL', std, mean, 'f32');
}
