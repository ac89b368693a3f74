import { backward, embedding, scatterRows } from '../../engine/index.ts';
import { embedding as gatherTwin, scatterRows as scatterTwin } from '../../tests/reference/gather.ts';
import type { BenchCase, Result } from '../harness.ts';
import { wave } from '../operands.ts';

async function worst(out: Result, want: Float64Array): Promise<number> {
  const got = await out.data();
  return want.reduce((largest, value, i) => Math.max(largest, Math.abs(value - got[i])), 0);
}

/** k different rows of N, in ascending order. */
const spread = (k: number, N: number): Uint32Array =>
  Uint32Array.from({ length: k }, (_, i) => Math.floor((i * N) / k));

function gatherCase(N: number, k: number, C: number, quick = false): BenchCase {
  return {
    op: 'gather',
    shape: `${k} of ${N}x${C}`,
    bytes: 8 * k * C,
    quick,
    peer: N === 15_309 ? { name: 'gather' } : undefined,
    prepare: (engine) => {
      const data = wave(N * C);
      const list = spread(k, N);
      const table = engine.tensor(data, [N, C]);
      const indices = engine.tensor(list, [k]);
      return {
        run: () => embedding(table, indices),
        maxError: (out) => worst(out, gatherTwin(data, list, { N, C })),
      };
    },
  };
}

function scatterCase(N: number, k: number, C: number): BenchCase {
  return {
    op: 'scatter',
    shape: `${k} into ${N}x${C}`,
    bytes: 4 * (k + N) * C,
    clock: 'wall', // half of it is a clear
    prepare: (engine) => {
      const data = wave(k * C);
      const list = spread(k, N);
      const x = engine.tensor(data, [1, k, C]);
      const indices = engine.tensor(list, [1, k]);
      return {
        run: () => scatterRows(x, indices, N),
        maxError: (out) => worst(out, scatterTwin(data, list, { N, C })),
      };
    },
  };
}

/** Forward and backward of an embedding whose list is three quarters padding. */
function embeddingCase(N: number, n: number, C: number): BenchCase {
  return {
    op: 'gather + dtable',
    shape: `${n} of ${N}x${C}`,
    bytes: 4 * (3 * n + N) * C,
    prepare: (engine) => {
      const list = Uint32Array.from(
        { length: n },
        (_, i) => (i % 4 === 0 ? Math.imul(i, 2654435761) >>> 8 : 1) % N,
      );
      const data = wave(n * C);
      const table = engine.zeros([N, C], { requiresGrad: true });
      const indices = engine.tensor(list, [n]);
      const seed = engine.tensor(data, [n, C]);
      return {
        run: () => {
          using y = embedding(table, indices);
          backward(y, { seed });
          const gradient = table.grad!;
          table.variable.grad = undefined;
          return gradient;
        },
        maxError: (out) => worst(out, scatterTwin(data, list, { N, C })),
      };
    },
  };
}

export const cases: BenchCase[] = [
  gatherCase(300, 64, 96, true),
  gatherCase(15_309, 2560, 1152),
  gatherCase(72_900, 2134, 1152),
  scatterCase(11_664, 341, 1152),
  embeddingCase(32_000, 4096, 1152),
];
