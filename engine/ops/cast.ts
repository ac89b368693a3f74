import source from '../../shaders/cast.wgsl' with { type: 'text' };
import { expectTensor } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, runEach } from '../tensor/dispatch.ts';
import { BYTES_PER_ELEMENT, type DType, type Tensor } from '../tensor/tensor.ts';

const forward = kernel(source, 'cast_words');

/**
 * Converts to another element type.
 *
 * To f16 and bf16: nearest, ties to even; f16 saturates to +-65504. Float to integer: toward zero, saturating, NaN gives 0.
 * i32 and u32 exchange bits; an integer to u8 keeps its low 8 bits. Differentiable between float types: gradients stay f32.
 *
 * @param x  any shape and dtype
 * @returns  the shape of x; another handle on x when it has the dtype already
 */
export function cast<D extends DType>(x: Tensor, dtype: D): Tensor<D> {
  expectTensor('cast', 'x', x);
  if (has(x, dtype)) return x.reshape(x.shape);
  const y = output([x], x.shape, dtype);
  const perWord = 4 / BYTES_PER_ELEMENT[dtype];
  runEach(forward, {
    bind: { x, y },
    define: { SOURCE: x.dtype.toUpperCase(), RESULT: dtype.toUpperCase(), PER_WORD: perWord },
    params: { n: Math.ceil(x.size / perWord), elements: x.size },
  });
  if (!isFloat(x.dtype) || !isFloat(dtype)) return y;
  return record('cast', { inputs: [x], output: y, saved: {}, backward: (dy) => [dy] });
}

function has<D extends DType>(x: Tensor, dtype: D): x is Tensor<D> {
  return x.dtype === dtype;
}

function isFloat(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
}
