// One step along a row: a number, or four neighbours at once where the host knows that rows divide by four.

alias Cell = f32;         // vec4f where the row length divides by four; u32 or vec4u where cells are only moved
const LANES : u32 = 1u;   // numbers in a Cell

/// Sum of the numbers in a cell. vec4() repeats a lone number four times, hence the quarter; both are exact.
fn cell_sum(value : Cell) -> f32 {
  return dot(vec4f(vec4(value)), vec4f(0.25 * f32(LANES)));
}

/// The largest of the numbers in a cell.
fn cell_max(value : Cell) -> f32 {
  let all = vec4f(vec4(value));
  return max(max(all.x, all.y), max(all.z, all.w));
}
