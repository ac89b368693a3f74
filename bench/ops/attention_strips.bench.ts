import type { BenchCase } from '../harness.ts';
import { selfAttentionCase } from './attention.bench.ts';

export const cases: BenchCase[] = [
  selfAttentionCase(8, 64, 16, 3, 32, { force: 'strips', quick: true }),
  selfAttentionCase(1, 729, 0, 16, 72, { force: 'strips' }),
];
