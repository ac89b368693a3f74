// No kernel has a data race within a workgroup: every entry point of shaders/ runs at tiny shapes in lockstep.ts.
//
// The interpreter is trusted only where its results are those of the GPU. It does not see races between workgroups.

import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BufferRange } from '../../engine/gpu/buffer.ts';
import type { Kernel } from '../../engine/gpu/kernel.ts';
import { engine } from '../harness.ts';
import { runInLockstep } from './lockstep.ts';
import { CASES } from './race_cases.ts';

/** Entry points whose numbers the interpreter gets wrong, and why. Their barriers and accesses are checked all the same. */
const UNLIKE_GPU: Readonly<Record<string, string>> = {
  adaptive_max_pool: 'divides vectors of integers as floats',
  adaptive_max_pool_dx: 'divides vectors of integers as floats',
  cast_words: 'takes u32 from 2^31 on for negative numbers',
  dequantize: 'keeps vectors of integers as floats',
  dropout: 'takes u32 from 2^31 on for negative numbers',
  matmul_rows: 'keeps vectors of integers as floats',
  pillow_resize: 'keeps vectors of integers as floats',
  random: 'takes u32 from 2^31 on for negative numbers',
  sample_tokens: 'takes u32 from 2^31 on for negative numbers',
  top_k_histogram: 'takes u32 from 2^31 on for negative numbers',
  top_k_count: 'takes u32 from 2^31 on for negative numbers',
  top_k_emit: 'takes u32 from 2^31 on for negative numbers',
};

/** Row kernels run with so many invocations, so that both levels of lib/reduce.wgsl have work; results depend on it by rounding only. */
const ROW_WG = 16;

/** Entry points that do not run here, and why. They have no barrier, and each invocation writes what is its own. */
const NOT_RUN: Readonly<Record<string, string>> = {
  gather_heads:
    'reads the element before the first where && has already decided, which the interpreter does not survive',
  matmul_pack: 'returns vectors from functions within functions, which the interpreter takes for numbers',
  top_k_descending_keys: 'takes more than 4,096 chosen numbers',
  top_k_place: 'takes more than 4,096 chosen numbers',
};

engine.gpu.target = { ...engine.gpu.target, subgroupSize: 1 }; // the interpreter knows no subgroups

/** One run of a kernel: everything that it read, and what the GPU wrote. */
interface Recorded {
  readonly kernel: Kernel;
  readonly code: string;
  readonly groups: readonly number[];
  readonly params: ArrayBuffer;
  readonly before: ReadonlyMap<number, ArrayBuffer>;
  readonly after: ReadonlyMap<number, ArrayBuffer>;
}

/** Runs `fn` and keeps every kernel run with the contents of its buffers before and after. */
async function record(fn: () => void): Promise<Recorded[]> {
  const { gpu } = engine;
  const { run } = gpu;
  const runs: Promise<Recorded>[] = [];
  gpu.run = (kernel, bind, call) => {
    const { bindings, usesParams, paramsBytes } = kernel.reflection;
    const snapshot = (): [number, BufferRange][] =>
      bindings.flatMap(({ name, index }): [number, BufferRange][] => {
        const range = bind[name]?.range;
        if (!range) return [];
        const copy = {
          buffer: gpu.pool.acquire(range.sizeBytes, [range.sizeBytes]),
          offset: 0,
          sizeBytes: range.sizeBytes,
        };
        gpu.copy(range, copy);
        return [[index, copy]];
      });
    const read = async (ranges: readonly [number, BufferRange][]): Promise<Map<number, ArrayBuffer>> => {
      const contents = new Map<number, ArrayBuffer>();
      for (const [index, range] of ranges) {
        contents.set(index, await gpu.read(range));
        gpu.pool.release(range.buffer);
      }
      return contents;
    };
    const before = snapshot();
    run.call(gpu, kernel, bind, call);
    const after = snapshot();
    const params = new ArrayBuffer(Math.max(16, Math.ceil(paramsBytes / 4) * 4));
    if (usesParams) kernel.pack(call.params ?? {}, new Float32Array(params), new Uint32Array(params), 0);
    const choices = { ROW_WG, ELEMENTS: gpu.target.elements, INTERLEAVE: gpu.target.interleave };
    const code = kernel.specialise({ ...kernel.chosen(choices), ...call.define }, false);
    const groups = typeof call.groups === 'number' ? [call.groups, 1, 1] : call.groups;
    runs.push(
      (async () => ({
        kernel,
        code,
        groups,
        params,
        before: await read(before),
        after: await read(after),
      }))(),
    );
  };
  try {
    fn();
  } finally {
    gpu.run = run;
  }
  return await Promise.all(runs);
}

/** Where a binding differs: integers in any bit, floats by more than the rounding of short sums. */
function difference(
  { kernel, code, after }: Recorded,
  got: ReadonlyMap<number, ArrayBuffer>,
): string | undefined {
  for (const { name, index, writable } of kernel.reflection.bindings) {
    const want = after.get(index);
    if (!writable || !want) continue;
    const isInteger = new RegExp(`\\b${name}\\s*:\\s*array<(atomic<|vec\\d)?u`).test(code);
    const words = Math.floor(want.byteLength / 4);
    const [a, b] = [got.get(index)!, want].map((bytes) =>
      isInteger ? new Uint32Array(bytes, 0, words) : new Float32Array(bytes, 0, words),
    );
    for (let i = 0; i < words; i++)
      // Infinities have no difference.
      if (a[i] !== b[i] && (isInteger || !(Math.abs(a[i] - b[i]) <= 1e-4 * Math.max(0.1, Math.abs(b[i])))))
        return `${name}[${i}]: ${a[i]} in the interpreter, ${b[i]} on the GPU`;
  }
  return undefined;
}

const seen = new Set<string>();
const unlike = new Set<string>();

for (const [name, fn] of Object.entries(CASES))
  test(`races: none in the kernels of ${name}`, async () => {
    for (const run of await record(fn)) {
      const { entry } = run.kernel;
      if (entry in NOT_RUN) continue;
      const { faults, buffers } = runInLockstep(run.code, entry, run.groups, run.params, run.before);
      assert.equal(faults.slice(0, 3), [], `${entry}: ${faults.length} faults`);
      const differs = difference(run, buffers);
      if (!(entry in UNLIKE_GPU)) assert.is(differs, undefined, `${entry}: ${differs}`);
      else if (differs) unlike.add(entry);
      seen.add(entry);
    }
  });

test('races: the cases above run every entry point of shaders/', () => {
  const folder = new URL('../../shaders/', import.meta.url);
  const texts = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.wgsl'))
    .map((file) => readFileSync(new URL(file, folder), 'utf8'));
  const entries = texts.flatMap((text) =>
    [...text.matchAll(/@compute[^{]*?fn (\w+)/g)].map(([, name]) => name),
  );
  assert.ok(entries.length > 70);
  assert.equal(entries.filter((entry) => !seen.has(entry)).sort(), Object.keys(NOT_RUN).sort());
  for (const entry of Object.keys(NOT_RUN)) {
    const body = texts
      .map((text) => new RegExp(`fn ${entry}\\([\\s\\S]*?\\n}`).exec(text)?.[0])
      .find(Boolean);
    assert.not.match(body!, /Barrier|workgroup_(sum|max)|exclusive_scan/);
  }
});

test('races: the list of what the interpreter gets wrong is no longer than need be', () =>
  assert.equal([...unlike].sort(), Object.keys(UNLIKE_GPU).sort()));

/** Reverses eight numbers by way of workgroup memory. */
const reverse = (between: string): string => `
  @group(0) @binding(1) var<storage, read_write> y : array<f32>; // [8]
  var<workgroup> tile : array<f32, 8>;
  @compute @workgroup_size(8) fn reverse(@builtin(local_invocation_index) i : u32) {
    tile[i] = y[i];
    ${between}
    y[i] = tile[7u - i];
  }`;

test('races: a missing barrier and one that not all invocations reach are found', () => {
  const run = (between: string) => {
    const contents = new Map([[1, Float32Array.from({ length: 8 }, (_, i) => i).buffer]]);
    return runInLockstep(reverse(between), 'reverse', [1, 1, 1], new ArrayBuffer(16), contents);
  };
  const { faults, buffers } = run('workgroupBarrier();');
  assert.equal(faults, []);
  assert.equal(Array.from(new Float32Array(buffers.get(1)!, 0, 8)), [7, 6, 5, 4, 3, 2, 1, 0]);
  assert.match(run('').faults[0], /Data race on 'tile' byte \d+/);
  assert.match(run('if (i < 4u) { workgroupBarrier(); }').faults.join(' '), /Barrier divergence/);
});

test.run();
