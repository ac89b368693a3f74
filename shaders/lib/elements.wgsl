// How an element-wise kernel assigns elements to invocations: each workgroup processes WG * ELEMENTS
// consecutive elements, each group of INTERLEAVE invocations INTERLEAVE * ELEMENTS of them, interleaved.
//
//   let share = share_of(group, groups, i, n);
//   for (var at = share.first; at < share.end; at += INTERLEAVE) { ... }

#import index  // linear_group(group, groups)

const WG = 64u;
const ELEMENTS : u32 = 4u;  // per invocation; the host chooses both by adapter
// Invocations that run together, or all: a CPU finishes the loop of some before it begins the next ones.
const INTERLEAVE : u32 = WG;

struct Share {
  first : u32,
  end : u32,
}

fn share_of(group : vec3u, groups : vec3u, i : u32, n : u32) -> Share {
  let first = linear_group(group, groups) * WG * ELEMENTS +
              i / INTERLEAVE * (INTERLEAVE * ELEMENTS) + i % INTERLEAVE;
  return Share(first, min(first + INTERLEAVE * ELEMENTS, n));
}
