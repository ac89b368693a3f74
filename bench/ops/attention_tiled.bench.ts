import type { BenchCase } from '../harness.ts';
import { selfAttentionCase } from './attention.bench.ts';

/** Strips are tiled where the adapter is a GPU. */
export const cases: BenchCase[] = [
  selfAttentionCase(2, 96, 32, 4, 64, { force: 'strips', quick: true }),
  selfAttentionCase(1, 1024, 729, 16, 72, { force: 'strips' }),
];
