import type { BenchCase } from '../harness.ts';
import { matmulCase } from './matmul.bench.ts';

const force = { variant: 'subgroup_matrix' } as const;

const shapes: BenchCase[] = [
  matmulCase(256, 256, 256, { force }, true, 'matmul_subgroup_matrix'),
  matmulCase(2048, 2048, 2048, { force }, false, 'matmul_subgroup_matrix'),
  matmulCase(729, 1152, 1152, { force, transposeB: true }, false, 'matmul_subgroup_matrix'),
  matmulCase(2560, 3456, 1152, { force, transposeB: true }, false, 'matmul_subgroup_matrix'),
  matmulCase(2560, 1152, 4304, { force }, false, 'matmul_subgroup_matrix'),
];

export const cases: BenchCase[] = shapes.map((one) => ({ ...one, tier: 3 }));
