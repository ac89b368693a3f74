import { test } from 'uvu';
import { backward } from '../../engine/index.ts';
import { type ResizeOptions, resize } from '../../engine/ops/resize.ts';
import { checkGradients, compare, engine, random, TOLERANCE, tensor, torchCases } from '../harness.ts';
import { apply, type Conventions, POSITION, weights } from '../reference/resize_taps.ts';

type Pair = readonly [number, number];
const SIZES: readonly (readonly [Pair, Pair])[] = [
  [
    [1, 1],
    [3, 1],
  ],
  [
    [7, 5],
    [4, 9],
  ],
  [
    [13, 11],
    [5, 3],
  ],
  [
    [3, 4],
    [17, 10],
  ],
  [
    [9, 8],
    [9, 8],
  ],
];

/** Compares values and gradient with the twin at all sizes. */
async function check(options: ResizeOptions): Promise<void> {
  for (const [n, m] of SIZES) {
    const matrices = [0, 1].map((axis) =>
      weights(n[axis], m[axis], options.scales?.[axis] ?? m[axis] / n[axis], {
        coordinates: 'half_pixel',
        ...options,
        roi: options.roi?.[axis],
      } as Conventions),
    ) as [Float64Array[], Float64Array[]];
    await checkGradients({
      inputs: { x: { data: random(2 * n[0] * n[1], 3), shape: [1, 2, ...n] } },
      op: ({ x }) => resize(x, m, options),
      twin: ({ x }) => apply(x, matrices),
    });
  }
}

for (const coordinates of Object.keys(POSITION) as NonNullable<ResizeOptions['coordinates']>[])
  for (const mode of ['nearest', 'linear', 'cubic'] as const)
    test(`resize: ${mode} with ${coordinates} coordinates, values and gradients match the twin`, async () => {
      // Roi beyond the image on one side: those pixels are 0.
      await check({
        mode,
        coordinates,
        roi: [
          [0.113, 0.787],
          [-0.2317, 0.6113],
        ],
      });
    });

test('resize: every rounding of nearest, at ties too', async () => {
  for (const nearest of ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const) {
    await check({ mode: 'nearest', nearest });
    await check({ mode: 'nearest', nearest, coordinates: 'asymmetric' });
  }
});

test('resize: antialiasing, other cubics and taps that stop at the edge', async () => {
  for (const mode of ['linear', 'cubic'] as const) {
    await check({ mode, antialias: true });
    await check({ mode, antialias: true, excludeOutside: true, cubicA: -0.5 });
    await check({ mode, excludeOutside: true, cubicA: -0.6, coordinates: 'align_corners' });
  }
});

test('resize: pixels outside of the roi get the extrapolation value, and no gradient', async () => {
  const options = {
    mode: 'linear',
    coordinates: 'tf_crop_and_resize',
    extrapolation: 10,
    roi: [
      [-0.5, 1],
      [0, 2],
    ],
  } as const;
  const [n, m] = [[4, 5] as Pair, [7, 5] as Pair];
  const matrices = [0, 1].map((axis) =>
    weights(n[axis], m[axis], m[axis] / n[axis], { ...options, roi: options.roi[axis] }),
  ) as [Float64Array[], Float64Array[]];
  const outside = (row: Float64Array) => row.every((weight) => weight === 0);
  const border = matrices[0].flatMap((row) =>
    matrices[1].map((column) => (outside(row) || outside(column) ? 10 : 0)),
  );
  await checkGradients({
    inputs: { x: { data: random(20, 3), shape: [1, 1, 4, 5] } },
    op: ({ x }) => resize(x, m, options),
    twin: ({ x }) => apply(x, matrices).map((value, e) => value + border[e]),
  });
});

const TORCH: Readonly<Record<string, ResizeOptions>> = {
  linear: { mode: 'linear', coordinates: 'pytorch_half_pixel' },
  'linear align': { mode: 'linear', coordinates: 'align_corners' },
  'cubic align': { mode: 'cubic', coordinates: 'align_corners' },
  'linear antialias': { mode: 'linear', antialias: true, excludeOutside: true },
  'cubic antialias': { mode: 'cubic', antialias: true, excludeOutside: true, cubicA: -0.5 },
  nearest: { mode: 'nearest', nearest: 'round_prefer_ceil' },
  scales: { mode: 'linear', scales: [0.75, 1.9] },
};

test('resize: values and gradients match PyTorch with aligned corners, tents, antialiasing and given scales', async () => {
  for (const [name, vectors] of await torchCases('resize_taps')) {
    using scope = engine.scope();
    const options = TORCH[name.replace(/ \(.*/, '')];
    const [{ data, shape }, want] = [vectors.get('x')!, vectors.get('y')!];
    const x = tensor(data, shape, { scope, requiresGrad: true });
    const y = resize(x, [want.shape[2], want.shape[3]], options);
    compare(`${name} y`, await y.data(), want.data);
    if (!vectors.has('dx')) continue;
    backward(y, { seed: tensor(vectors.get('dy')!.data, want.shape, { scope }) });
    compare(`${name} dx`, await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.grad);
    x.grad!.dispose();
  }
});

test.run();
