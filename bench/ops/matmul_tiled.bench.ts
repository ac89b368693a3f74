import type { BenchCase } from '../harness.ts';
import { matmulCase } from './matmul.bench.ts';

const force = { variant: 'tiled' } as const;

export const cases: BenchCase[] = [
  matmulCase(256, 256, 256, { force }, true, 'matmul_tiled'),
  matmulCase(729, 1152, 1152, { force, transposeB: true }, false, 'matmul_tiled'),
  matmulCase(2560, 3456, 1152, { force, transposeB: true }, false, 'matmul_tiled'),
  matmulCase(2560, 1152, 4304, { force }, false, 'matmul_tiled'),
  matmulCase(4304, 1152, 3289, { force, transposeA: true }, false, 'matmul_tiled'),
];
