import { test } from 'uvu';
import { kernel } from '../../engine/gpu/kernel.ts';
import { run } from '../../engine/tensor/dispatch.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';

const DIVIDE = `
#import index
struct Params { n : u32 }
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> dividends : array<u32>;    // [n]
@group(0) @binding(2) var<storage, read> divisors : array<u32>;     // [n]
@group(0) @binding(3) var<storage, read_write> result : array<vec2u>; // [n]
@compute @workgroup_size(64)
fn divide(@builtin(global_invocation_id) id : vec3u) {
  if (id.x < params.n) { result[id.x] = divmod(dividends[id.x], divisors[id.x]); }
}`;

/** Edges of powers of two, of multiples, and numbers of all lengths. */
function pairs(): [number, number][] {
  const found: [number, number][] = [];
  const edges = [0, 1, 2, 3, 7, 255, 256, 65535, 65536, 2 ** 23, 2 ** 24 - 1, 2 ** 24 + 1, 2 ** 31 - 1];
  let state = 12345;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
  for (const d of edges.filter((d) => d > 0))
    for (const n of [...edges, 2 ** 31, 2 ** 32 - 1, 2 ** 32 - 2]) found.push([n, d]);
  for (let i = 0; i < 40_000; i++) {
    const d = Math.max(1, next() >>> (1 + (next() % 31)));
    const n = next() >>> (next() % 32);
    const multiple = (Math.floor(n / d) * d) >>> 0;
    found.push([n, d], [multiple, d], [Math.max(0, multiple - 1), d]);
  }
  return found;
}

test('divmod: equals integer division with remainder for dividends up to 2^32 - 1 and divisors below 2^31', async () => {
  using scope = engine.scope();
  const all = pairs();
  const n = all.length;
  const column = (part: 0 | 1) =>
    engine.tensor(
      Uint32Array.from(all, (pair) => pair[part]),
      [n],
      { scope },
    );
  const result = engine.empty([n, 2], { dtype: 'u32', scope });
  run(kernel(DIVIDE, 'divide'), {
    bind: { dividends: column(0), divisors: column(1), result },
    params: { n },
    groups: Math.ceil(n / 64),
  });
  compare(
    'divmod',
    Float64Array.from(await result.data()),
    Float64Array.from(all.flatMap(([n, d]) => [Math.floor(n / d), n % d])),
    TOLERANCE.exact,
  );
});

test.run();
