// Tiles whose operands are staged for matrix units, and whose sums leave them in passes of some columns, against the twin.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MatrixShape } from '../../engine/gpu/target.ts';
import { linear, type MatmulForce, matmul, type Tensor } from '../../engine/index.ts';
import { planMatmul } from '../../engine/ops/matmul/plan.ts';
import { compare, engine, random, tensor } from '../harness.ts';
import { fromHalf, toHalf } from '../reference/cast.ts';
import { linear as linearTwin, matmul as productTwin } from '../reference/matmul.ts';
import { withMatrixUnit } from '../shaders/subgroup_matrix.ts';

/** As operands of matrix units are rounded. */
export const half = (value: number): number => fromHalf(toHalf(value));

interface Tiles {
  /** Rows of a tile. */
  readonly tile: 32 | 64 | 256;
  /** The device's own, or one that is emulated. */
  readonly unit: MatrixShape;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** M, N, K */
  readonly shapes: readonly (readonly [number, number, number])[];
}

/** Makes the test of one layout: whole, with bias and residual where it is a layer's, and in streams. */
export function testTiles(name: string, { tile, unit, transposeA, transposeB, shapes }: Tiles): void {
  const layout = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
  test(`matmul_tiled on units: ${name} in passes of some columns match the twin, ${layout}`, async () => {
    using scope = engine.scope();
    const force = { kind: 'tiled', tile, onUnits: true } as const;
    const isLayer = transposeB && !transposeA;
    for (const [M, N, K] of shapes) {
      const [left, right] = [random(M * K, 1), random(K * N, 2)];
      const [bias, residual] = [random(N, 3), random(M * N, 4)];
      const a = tensor(left, transposeA ? [K, M] : [M, K], { scope });
      const b = tensor(right, transposeB ? [N, K] : [K, N], { scope });
      const multiplied = (more: MatmulForce): Tensor =>
        withMatrixUnit(
          engine,
          unit,
          () => {
            const forced = { ...force, ...more };
            const plan = planMatmul(engine.target, { M, N, K, transposeA, transposeB }, forced);
            assert.is(plan.kind === 'tiled' && plan.unit && plan.tile, tile);
            return isLayer && !more.streams
              ? linear(a, b, {
                  ...{ bias: tensor(bias, [N], { scope }), residual: tensor(residual, [M, N], { scope }) },
                  force: forced,
                })
              : matmul(a, b, { transposeA, transposeB, force: forced });
          },
          { PASS_N: 16 },
        );
      const [l, r] = [left.map(half), right.map(half)];
      const want = productTwin(l, r, { M, N, K, transposeA, transposeB });
      const whole = isLayer ? linearTwin(l, r, K, { bias, residual }) : want;
      compare(`c [${M}, ${N}]`, await multiplied({ splits: 1 }).data(), whole);
      compare(`c [${M}, ${N}] in streams`, await multiplied({ streams: 3 }).data(), want);
    }
  });
}

/** Those of 256 x 128 on the device's own units, with b as it is and transposed: a CPU's compiler takes minutes for each, and emulated far more. */
export function testWideTiles(transposeA: boolean): void {
  const { matrixUnit: unit } = engine.target;
  if (!unit) {
    test('matmul_tiled on units: tiles of 256 x 128', () =>
      console.log('skipped: needs matrix units (tier 3)'));
    return;
  }
  for (const transposeB of [false, true])
    testTiles('tiles of 256 x 128', {
      ...{ tile: 256, unit, transposeA, transposeB },
      shapes: [
        [255, 129, 31],
        [257, 128, 32],
        [256, 127, 65],
      ],
    });
}
