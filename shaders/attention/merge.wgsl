// Split-KV attention, second pass: merges the results of split.wgsl for the splits n.
//
//   max = max_n max[n]     sum = sum_n exp(max[n] - max) sum[n]
//   out = 1/sum sum_n exp(max[n] - max) value[n]                 lse = max + log(sum)
//
// Layout    contiguous, heads of a row side by side.
// Mapping   an invocation merges one Vec of all splits. No barriers.
// Traffic   reads K + 3 elements per query, head and split, IN_FLIGHT splits at a time, and writes K + 1 per
//           query and head.
// Numerics  f32; sums run over ascending splits: the same bits on every run. A score that is NaN or infinite
//           makes the result NaN.

#import index     // linear_group(group, groups)
#import numerics  // LOWEST, or_nan(result, operand), sum_or_nan(sum)

struct Params {
  T : u32,           // queries per batch entry
  heads : u32,
  batch : u32,
  all_splits : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> max_sum : array<vec2f>;   // [batch, all_splits, T, heads]
@group(0) @binding(2) var<storage, read> values : array<Vec>;      // [batch, all_splits, T, heads, HEAD_VECS]
@group(0) @binding(3) var<storage, read_write> out : array<Vec>;   // [batch, T, heads, HEAD_VECS]
@group(0) @binding(4) var<storage, read_write> lse : array<f32>;   // [batch, heads, T]

// Specialisation.
alias Vec = vec4f;              // or f32
const HEAD_VECS : u32 = 8u;     // Vecs per head
const IN_FLIGHT : u32 = 1u;     // splits whose loads do not wait for each other

const WG : u32 = 64u;           // invocations of a workgroup; they share nothing

@compute @workgroup_size(WG)
fn attention_merge(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                   @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;  // ((z T + t) heads + head) HEAD_VECS + d
  let rows = params.T * params.heads;
  let row = at / HEAD_VECS % rows;
  let z = at / (HEAD_VECS * rows);
  if (z >= params.batch) { return; }
  let first = z * params.all_splits * rows + row;
  var row_max = LOWEST;
  for (var n = 0u; n < params.all_splits; n++) { row_max = max(row_max, max_sum[first + n * rows].x); }
  var value = Vec();
  var row_sum = 0.0;
  for (var n = 0u; n < params.all_splits; n += IN_FLIGHT) {
    var sums : array<vec2f, IN_FLIGHT>;
    var some : array<Vec, IN_FLIGHT>;
    for (var k = 0u; k < IN_FLIGHT; k++) {
      let part = first + min(n + k, params.all_splits - 1u) * rows;
      sums[k] = max_sum[part];
      some[k] = values[part * HEAD_VECS + at % HEAD_VECS];
    }
    for (var k = 0u; k < IN_FLIGHT; k++) {
      if (n + k < params.all_splits) {
        let keep = exp(sums[k].x - row_max);
        row_sum = fma(keep, sums[k].y, row_sum);
        value = fma(Vec(keep), some[k], value);
      }
    }
  }
  row_sum = sum_or_nan(row_sum);
  out[at] = value * (1.0 / row_sum);
  if (at % HEAD_VECS == 0u) {
    lse[(z * params.heads + row % params.heads) * params.T + row / params.heads] =
      or_nan(row_max + log(row_sum), row_sum);
  }
}
