// Exclusive prefix sum of one pair of counts per invocation, in a workgroup of SCAN_WG invocations.
//
// Two levels of sixteen: three barriers whatever the size, which matters where a barrier is expensive
// (software adapters).

const SCAN_WG : u32 = 256u;  // a square of SCAN_SIDE
const SCAN_SIDE : u32 = 16u;

var<workgroup> scan_slots : array<vec2u, SCAN_WG>;
var<workgroup> scan_sums : array<vec2u, SCAN_SIDE>;

/// Sum of the values of all invocations below i. Safe to call repeatedly.
fn exclusive_scan(value : vec2u, i : u32) -> vec2u {
  workgroupBarrier();  // the previous call has been read by everyone
  scan_slots[i] = value;
  workgroupBarrier();
  if (i < SCAN_SIDE) {
    var sum = vec2u();
    for (var j = 0u; j < SCAN_SIDE; j++) {
      sum += scan_slots[i * SCAN_SIDE + j];
    }
    scan_sums[i] = sum;
  }
  workgroupBarrier();
  let side = i / SCAN_SIDE;
  var before = vec2u();
  for (var j = 0u; j < side; j++) {
    before += scan_sums[j];
  }
  for (var j = side * SCAN_SIDE; j < i; j++) {
    before += scan_slots[j];
  }
  return before;
}

/// Sum over the whole workgroup of the values of the last exclusive_scan.
fn scan_total() -> vec2u {
  var sum = vec2u();
  for (var j = 0u; j < SCAN_SIDE; j++) {
    sum += scan_sums[j];
  }
  return sum;
}
