// How many multiply-adds per second the adapter reaches when nothing else holds it up.
//
//   x = x * a + b, again and again, which tends to b / (1 - a)
//
// Layout    y [n] f32, one sum of 16 chains per invocation, so that no chain is dead code.
// Mapping   one invocation carries 16 independent chains in four vec4f: the latency of one hides behind the
//           others.
// Traffic   four bytes per invocation; everything else stays in registers.

struct Params {
  n : u32,      // invocations
  steps : u32,  // multiply-adds per chain, a multiple of 8
  a : f32,
  b : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read_write> y : array<f32>;  // [n]

fn eight(start : vec4f, a : vec4f, b : vec4f) -> vec4f {
  var x = fma(start, a, b);
  x = fma(x, a, b);
  x = fma(x, a, b);
  x = fma(x, a, b);
  x = fma(x, a, b);
  x = fma(x, a, b);
  x = fma(x, a, b);
  return fma(x, a, b);
}

@compute @workgroup_size(64)
fn fma_chain(@builtin(global_invocation_id) id : vec3u) {
  if (id.x >= params.n) { return; }
  let a = vec4f(params.a);
  let b = vec4f(params.b);
  // Different starts: equal chains could be computed once.
  var x0 = vec4f(0.0, 1.0, 2.0, 3.0) + f32(id.x & 7u);
  var x1 = x0 + 4.0;
  var x2 = x0 + 8.0;
  var x3 = x0 + 12.0;
  for (var step = 0u; step < params.steps; step += 8u) {
    x0 = eight(x0, a, b);
    x1 = eight(x1, a, b);
    x2 = eight(x2, a, b);
    x3 = eight(x3, a, b);
  }
  let sum = x0 + x1 + x2 + x3;
  y[id.x] = sum.x + sum.y + sum.z + sum.w;
}
