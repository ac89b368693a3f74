// What becomes of the sums of a product in a strip of attention; per_query and mask_bias are those of the query and the key of an element.

const KIND : u32 = 0u;
const ADDS : bool = false;         // SUMS, NORMALISED: c += instead of c =
const HAS_MASK : bool = false;

const SUMS : u32 = 0u;             // scale sum
const NORMALISED : u32 = 1u;       // scale sum per_query
const SCORES : u32 = 2u;           // scale sum + mask_bias
const WEIGHTS : u32 = 3u;          // exp(scale sum + mask_bias - per_query)
const GRADIENTS : u32 = 4u;        // scale c (sum - per_query), c being the weights
