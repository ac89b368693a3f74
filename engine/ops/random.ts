import source from '../../shaders/random.wgsl' with { type: 'text' };
import { UseError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { kernel } from '../gpu/kernel.ts';
import { output, runEach } from '../tensor/dispatch.ts';
import { expectU32 } from '../tensor/random.ts';
import type { Shape } from '../tensor/shape.ts';
import { type DType, Tensor } from '../tensor/tensor.ts';

const draw = kernel(source, 'random');

/** Which random numbers: the same key gives the same numbers in every runtime. */
export interface RandomKey {
  /** Integer in [0, 2^32). */
  readonly seed: number;
  /** Integer in [0, 2^32), default 0; other streams of one seed are independent. */
  readonly stream?: number;
}

function drawn<D extends DType>(
  like: Tensor | Gpu,
  shape: Shape,
  { seed, stream = 0 }: RandomKey,
  KIND: string,
  scale: number,
  shift: number,
  dtype: D,
): Tensor<D> {
  expectU32('seed', seed);
  expectU32('stream', stream);
  const gpu = like instanceof Tensor ? like.gpu : like;
  if (gpu.purpose === 'capture')
    throw new UseError(
      `random: a captured step would draw the numbers of seed ${seed}, stream ${stream} at every replay. Draw before the replay and write() them into an input.`,
    );
  const y = like instanceof Tensor ? output([like], shape, dtype) : Tensor.empty(like, shape, dtype);
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
 * @param like  a tensor, whose device and scope the result gets, or the device
 * @returns     u32
 * @throws UseError when seed or stream is not an integer in [0, 2^32)
 */
export function randomBits(like: Tensor | Gpu, shape: Shape, key: RandomKey): Tensor<'u32'> {
  return drawn(like, shape, key, 'BITS', 1, 0, 'u32');
}

/**
 * Uniform in [low, high), in 2^24 steps. Equal keys give equal bits on every adapter when the interval is [0, 1).
 *
 * @param like  a tensor, whose device and scope the result gets, or the device
 * @throws UseError when seed or stream is not an integer in [0, 2^32)
 */
export function randomUniform(
  like: Tensor | Gpu,
  shape: Shape,
  { low = 0, high = 1, ...key }: RandomKey & { readonly low?: number; readonly high?: number },
): Tensor<'f32'> {
  return drawn(like, shape, key, 'UNIFORM', high - low, low, 'f32');
}

/**
 * Normal with the given mean and standard deviation (default 0 and 1). Equal keys give numbers equal up to the accuracy of the
 * adapter's log, cos and sin.
 *
 * @param like  a tensor, whose device and scope the result gets, or the device
 * @throws UseError when seed or stream is not an integer in [0, 2^32)
 */
export function randomNormal(
  like: Tensor | Gpu,
  shape: Shape,
  { mean = 0, std = 1, ...key }: RandomKey & { readonly mean?: number; readonly std?: number },
): Tensor<'f32'> {
  return drawn(like, shape, key, 'NORMAL', std, mean, 'f32');
}
