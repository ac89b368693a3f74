import { backward, depthwiseConv, type Engine, type Tensor } from '../../engine/index.ts';
import { depthwiseConv as twin } from '../../tests/reference/depthwise_conv.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

const SIDE = 7;

interface Shape {
  readonly B: number;
  readonly Y: number;
  readonly X: number;
  readonly C: number;
}

function operands(engine: Engine, { B, Y, X, C }: Shape) {
  const [xs, weights, biases] = [wave(B * Y * X * C), wave(C * SIDE * SIDE), wave(C)];
  const x = engine.tensor(xs, [B, Y * X, C]);
  const weight = engine.tensor(weights, [C, 1, SIDE, SIDE]);
  return { xs, weights, biases, x, weight, bias: engine.tensor(biases, [C]) };
}

function forwardCase(shape: Shape, quick = false): BenchCase {
  const { B, Y, X, C } = shape;
  return {
    op: 'depthwise_conv',
    shape: `${B}x${Y}x${X}x${C}`,
    flops: 2 * B * Y * X * C * SIDE * SIDE,
    bytes: 8 * B * Y * X * C,
    quick,
    prepare: (engine) => {
      const { x, xs, weight, weights, bias, biases } = operands(engine, shape);
      return {
        run: () => depthwiseConv(x, weight, [Y, X], { bias }),
        maxError: async (out) => {
          // The first image; channels do not mix, so it is whole.
          const want = twin(xs, weights, biases, 1, [Y, X], C, SIDE);
          const got = await out.data();
          return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
        },
      };
    },
  };
}

/** Forward, and the gradients of weight and bias. */
function weightGradientCase(shape: Shape): BenchCase {
  const { B, Y, X, C } = shape;
  return {
    op: 'depthwise_conv + dweight',
    shape: `${B}x${Y}x${X}x${C}`,
    flops: 4 * B * Y * X * C * SIDE * SIDE,
    bytes: 16 * B * Y * X * C,
    // What is compared are sums of squares, half as large as their number of terms.
    tolerance: 1e-6 * B * Y * X,
    prepare: (engine) => {
      const { x, xs, weight, bias } = operands(engine, shape);
      const run = (): Tensor => {
        const leaf = weight.detach().setRequiresGrad(true);
        using y = depthwiseConv(x, leaf, [Y, X], { bias });
        backward(y, { seed: x });
        const dweight = leaf.grad!;
        leaf.dispose();
        return dweight;
      };
      return {
        run,
        maxError: async (out) => {
          // With dy = x, the middle tap of a kernel gathers the squares of its channel.
          const got = await out.data();
          const squares = new Float64Array(C);
          xs.forEach((value, i) => {
            squares[i % C] += value * value;
          });
          const middle = (SIDE * SIDE - 1) / 2;
          return squares.reduce(
            (worst, sum, c) => Math.max(worst, Math.abs(sum - got[c * SIDE * SIDE + middle])),
            0,
          );
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  forwardCase({ B: 2, Y: 16, X: 16, C: 48 }, true),
  forwardCase({ B: 16, Y: 16, X: 16, C: 48 }),
  forwardCase({ B: 1, Y: 54, X: 54, C: 512 }),
  weightGradientCase({ B: 16, Y: 16, X: 16, C: 48 }),
  weightGradientCase({ B: 1, Y: 54, X: 54, C: 512 }),
];
