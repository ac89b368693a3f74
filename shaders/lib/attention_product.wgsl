// What is done to the sums of a matmul of attention; per_query and mask_bias belong to the query and the key
// of an element.

const SUMS : u32 = 0u;             // scale sum
const NORMALISED : u32 = 1u;       // scale sum per_query
const SCORES : u32 = 2u;           // scale sum + mask_bias
const WEIGHTS : u32 = 3u;          // exp(scale sum + mask_bias - per_query)
const GRADIENTS : u32 = 4u;        // scale c (sum - per_query), c being the weights
const OUTPUT : u32 = 5u;           // sum exp(a - row max) b, over the sum of exponentials: of tiled.wgsl

// Specialisation.
const KIND : u32 = SUMS;
const ADDS : bool = false;         // SUMS, NORMALISED: c += instead of c =
const HAS_MASK : bool = false;
