// Runs a shader that multiplies by subgroup matrices on a device that has none: the same text, with f16 an f32 that was rounded,
// an operand the place of its packed numbers, and a sum spread over the 32 invocations that stand for a subgroup.
import { type Define, Kernel } from '../../engine/gpu/kernel.ts';
import type { MatrixShape } from '../../engine/gpu/target.ts';
import type { Engine } from '../../engine/index.ts';

const SUBGROUP = 32;
const SUBGROUPS = 4;

const ROUNDING = `
fn rolled(n : u32) -> u32 { return min(n, 4096u * params.groups_m); }
fn half(value : f32) -> f32 {
  if (abs(value) < 0x1p-14) { return round(value * 0x1p24) * 0x1p-24; }
  let bits = bitcast<u32>(value);
  return bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);
}
`;

const PACKING = `
fn half_bits(value : f32) -> u32 { return pack2x16float(vec2f(half(value), 0.0)) & 0xffffu; }
`;

// An operand is (where it begins, from row to row, from column to column).
const PACKED_OPERANDS = `
fn a_value(at : u32) -> f32 { return unpack2x16float(a_half[at / 2u] >> (at % 2u * 16u)).x; }
fn b_value(at : u32) -> f32 { return unpack2x16float(b_half[at / 2u] >> (at % 2u * 16u)).x; }
`;
const STAGED_OPERANDS = `
fn a_value(at : u32) -> f32 { return a_half[at]; }
fn b_value(at : u32) -> f32 { return b_half[at]; }
fn half4(four : vec4f) -> vec4f { return vec4f(half(four.x), half(four.y), half(four.z), half(four.w)); }
`;
const PRODUCT = `
fn multiply(lane : u32, rows : vec3u, columns : vec3u, before : Sum) -> Sum {
  var sum = before;
  for (var e = 0u; e < MATRIX_M * MATRIX_N / ${SUBGROUP}u; e++) {
    let m = (e * ${SUBGROUP}u + lane) / MATRIX_N;
    let n = (e * ${SUBGROUP}u + lane) % MATRIX_N;
    for (var k = 0u; k < MATRIX_K; k++) {
      sum[e] += a_value(rows.x + m * rows.y + k * rows.z) * b_value(columns.x + k * columns.y + n * columns.z);
    }
  }
  return sum;
}
fn store(lane : u32, corner : u32, sum : Sum, stride : u32) {
  for (var e = 0u; e < MATRIX_M * MATRIX_N / ${SUBGROUP}u; e++) {
    let at = e * ${SUBGROUP}u + lane;
    c_tile[corner + at / MATRIX_N * stride + at % MATRIX_N] = sum[e];
  }
}
`;

/** WGSL on matrix units, or of matmul/pack, without what lavapipe, SwiftShader and the interpreter lack. */
export function emulated(text: string): string {
  const plain = text
    .replace(/\benable \w+;/g, '')
    .replace(/@diagnostic\(.*\)/g, '')
    .replaceAll('vec4<f16>(', 'half4(')
    .replaceAll('vec4<f16>', 'vec4f')
    .replaceAll('array<f16, ', 'array<f32, ')
    .replace(/subgroup_matrix_result<f32, (\w+), (\w+)>/, `array<f32, $1 * $2 / ${SUBGROUP}u>`)
    .replace(/subgroup_matrix_\w+<.*>/g, 'vec3u')
    .replace(/subgroupMatrixLoad<Left, row_major>\(&a_half, (.*), (\w+)\);\s*}/, 'vec3u($1, $2, 1u); }')
    .replace(/subgroupMatrixLoad<Right, col_major>\(&b_half, (.*), (\w+)\);\s*}/, 'vec3u($1, 1u, $2); }')
    .replace(/subgroupMatrixLoad<Left, col_major>\(&a_half, (.*), (\w+)\);\s*}/, 'vec3u($1, 1u, $2); }')
    .replace(/subgroupMatrixLoad<Right, row_major>\(&b_half, (.*), (\w+)\);\s*}/, 'vec3u($1, $2, 1u); }')
    .replace('bitcast<u32>(vec2<f16>(f16(low), f16(high)))', 'half_bits(low) | (half_bits(high) << 16u)')
    .replaceAll('array<f16>', 'array<u32>')
    .replace(/subgroupMatrixMultiplyAccumulate\(/g, `multiply(i % ${SUBGROUP}u, `)
    .replace(/subgroupMatrixStore<row_major>\(&c_tile, /g, `store(i % ${SUBGROUP}u, `)
    .replace(/,\s*@builtin\(subgroup_id\) subgroup : u32/, '')
    .replace(/\bsubgroup\b(?! =)/g, `(i / ${SUBGROUP}u)`);
  // Bounds that no compiler knows: it would take a minute to write out all loops.
  const builtins = plain.includes('half4')
    ? STAGED_OPERANDS + PRODUCT
    : plain.includes('a_half')
      ? PACKED_OPERANDS + PRODUCT
      : PACKING;
  return (plain + ROUNDING + builtins).replace(
    /(for \(var \w+ = [^;]+; \w+ < )([A-Z_\du*/ ]+);/g,
    '$1rolled($2);',
  );
}

const kernels = new Map<Kernel, Kernel>();

/** A tile by subgroups of the emulation. */
function tileOf(define: Define): Define {
  const [down, across, squares, columns, widest] = [
    ...['SUBGROUPS_M', 'SUBGROUPS_N', 'SQUARES_M', 'SUBGROUP_TILE_N', 'PASS_N'],
  ].map((name) => Number(define[name]));
  const [M, N, threads] = [16 * down * squares, across * columns, SUBGROUP * down * across];
  const PASS_N = Math.min(widest, columns);
  const SQUARES_N = (columns / PASS_N) * Math.ceil(PASS_N / SUBGROUP);
  return { ...define, SUBGROUP, PASS_N, SQUARES_N, LOADS: Math.ceil((M + N) / threads), Four: 'vec4f' };
}

/** The emulation of a kernel on matrix units. */
function emulationOf(kernel: Kernel, choice: Define): Kernel {
  const known = kernels.get(kernel) ?? new Kernel(emulated(kernel.specialise(choice, false)), kernel.entry);
  kernels.set(kernel, known);
  return known;
}

/**
 * Runs `fn`, to the end if it is asynchronous, on an engine as if its device had matrix units of this shape, which is nothing where it has them; `define` may make
 * the tiles smaller.
 */
export function withMatrixUnit<T>({ gpu }: Engine, unit: MatrixShape, fn: () => T, define: Define = {}): T {
  const { run, target } = gpu;
  const own = target.matrixUnit;
  if (own && own.M === unit.M && own.N === unit.N && own.K === unit.K) return fn();
  gpu.target = { ...target, matrixUnit: unit };
  gpu.run = (kernel, bind, call) => {
    const { shared_tile, ...own } = call.define ?? {};
    if (shared_tile === 'matrix_tile')
      run.call(gpu, emulationOf(kernel, { shared_tile }), bind, {
        ...call,
        define: tileOf({ ...own, ...define }),
      });
    else if (kernel.entry === 'matmul_subgroup_matrix')
      run.call(gpu, emulationOf(kernel, {}), bind, {
        ...call,
        define: { ...own, ...define, WG: SUBGROUPS * SUBGROUP },
      });
    else if (kernel.entry === 'matmul_pack') run.call(gpu, emulationOf(kernel, {}), bind, call);
    else run.call(gpu, kernel, bind, call);
  };
  const restore = (): void => {
    Object.assign(gpu, { run, target });
  };
  let result: T | undefined;
  try {
    result = fn();
  } finally {
    if (!(result instanceof Promise)) restore();
  }
  return (result instanceof Promise ? result.finally(restore) : result) as T;
}
