import { KeyValueCache } from '../../engine/index.ts';
import { attendCached } from '../../tests/reference/kv_cache.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

/** One layer's attention of one new token to those before it: what is read is the keys and values that there are. */
function decodeCase(
  position: number,
  length: number,
  H: number,
  G: number,
  K: number,
  quick = false,
): BenchCase {
  const width = (H + 2 * G) * K;
  return {
    op: 'kv_cache, one token',
    shape: `${position}of${length}x${H}on${G}x${K}`,
    bytes: 4 * K * (2 * G * position + 2 * H),
    flops: 4 * position * H * K,
    quick,
    prepare: (engine) => {
      const cache = new KeyValueCache(engine, { layers: 1, length, kvHeads: G, headSize: K });
      const [kept, numbers] = [wave(length * 2 * G * K), wave(width)];
      cache.layer(0).write(kept);
      cache.positions.write(Int32Array.of(position));
      const table = Float32Array.from({ length: K / 2 }, (_, i) => 1e6 ** ((-2 * i) / K));
      const frequencies = engine.tensor(table, [K / 2]);
      const qkv = engine.tensor(numbers, [1, 1, width]);
      return {
        run: () => cache.attend(0, qkv, frequencies, { heads: H }),
        maxError: async (out) => {
          const [before, x, angles] = [kept, numbers, table].map((one) => Float64Array.from(one));
          const sizes = { B: 1, T: 1, H, G, K, length, offsets: [position] };
          const want = attendCached(before, x, angles, sizes).out;
          const got = await out.data();
          return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  decodeCase(60, 64, 6, 2, 16, true),
  decodeCase(500, 2048, 14, 2, 64),
  decodeCase(2000, 2048, 14, 2, 64),
  decodeCase(500, 2048, 28, 4, 128),
];
