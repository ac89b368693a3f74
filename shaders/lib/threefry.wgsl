// Counter-based random numbers: Threefry-2x32 with 20 rounds. Salmon, Moraes, Dror & Shaw 2011, "Parallel
// random numbers: as easy as 1, 2, 3".

fn turn(state : vec2u, rotation : u32) -> vec2u {
  let sum = state.x + state.y;
  return vec2u(sum, ((state.y << rotation) | (state.y >> (32u - rotation))) ^ sum);
}

// The rotation constants alternate between two sets of four.
fn even_rounds(state : vec2u) -> vec2u {
  return turn(turn(turn(turn(state, 13u), 15u), 26u), 6u);
}

fn odd_rounds(state : vec2u) -> vec2u {
  return turn(turn(turn(turn(state, 17u), 29u), 16u), 24u);
}

fn threefry(counter : vec2u, key : vec2u) -> vec2u {
  let parity = 0x1bd11bdau ^ key.x ^ key.y;
  var state = even_rounds(counter + key) + vec2u(key.y, parity + 1u);
  state = odd_rounds(state) + vec2u(parity, key.x + 2u);
  state = even_rounds(state) + vec2u(key.x, key.y + 3u);
  state = odd_rounds(state) + vec2u(key.y, parity + 4u);
  return even_rounds(state) + vec2u(parity, key.x + 5u);
}
