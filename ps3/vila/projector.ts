// From the tower's tokens to the language model's and back: joined and projected patches with their places, and the prompt.
import {
  add,
  cast,
  embedding,
  linearLayer,
  output,
  permute,
  resize,
  type Tensor,
  tidy,
  type Weights,
} from '../../engine/index.ts';
import { tokensOf } from '../model/baselines/mosaic.ts';
import { project, projectJoined } from '../model/baselines/projector.ts';
import type { Grid } from '../model/vision/scales.ts';
import { normedMlp } from '../model/vision/vit.ts';

/** An index outside of any table: its row is zero. */
const NOWHERE = 0xffffffff;

/** What is joined of a scale: groups of r x r patches that were all taken. */
export interface Groups {
  /** Flat indices in the grid of groups, ascending. */
  readonly index: Uint32Array;
  /** Where their patches are among those taken of the scale, in raster order: r r of each; `NOWHERE` beyond the border. */
  readonly patches: Uint32Array;
}

/**
 * The complete groups of a scale: a group at the border of a grid that r does not divide is complete without what is outside.
 *
 * @param taken  [Y * X] of 0 and 1
 */
export function completeGroups(taken: ArrayLike<number>, [Y, X]: Grid, r: number): Groups {
  const place = new Uint32Array(Y * X);
  let count = 0;
  for (let i = 0; i < Y * X; i++) place[i] = taken[i] ? count++ : NOWHERE;
  const [rows, columns] = [Math.ceil(Y / r), Math.ceil(X / r)];
  const index: number[] = [];
  const patches: number[] = [];
  for (let g = 0; g < rows * columns; g++) {
    const [top, left] = [r * Math.floor(g / columns), r * (g % columns)];
    const own = Array.from({ length: r * r }, (_, k) => {
      const [y, x] = [top + Math.floor(k / r), left + (k % r)];
      return y < Y && x < X ? place[y * X + x] : undefined;
    });
    if (own.includes(NOWHERE)) continue;
    index.push(g);
    patches.push(...own.map((at) => at ?? NOWHERE));
  }
  return { index: Uint32Array.from(index), patches: Uint32Array.from(patches) };
}

/**
 * The groups of several images as those of one table of tokens.
 *
 * @param first  where the tokens of an image's scale begin in it
 */
export function joinGroups(groups: readonly Groups[], first: (image: number) => number): Groups {
  return {
    index: Uint32Array.from(groups.flatMap(({ index }) => [...index])),
    patches: Uint32Array.from(
      groups.flatMap(({ patches }, image) =>
        Array.from(patches, (at) => (at === NOWHERE ? NOWHERE : first(image) + at)),
      ),
    ),
  };
}

/** The projector of a model: weights below `mm_projector/`. */
export class Projector {
  readonly #weights: Weights;
  /** Tokens along a side that become one. */
  readonly ratio: number;

  /** @param ratio  tokens along a side that become one */
  constructor(weights: Weights, ratio: number) {
    this.#weights = weights;
    this.ratio = ratio;
  }

  /** All tokens of the low-res grid, with their places. @param tokens  [B, G * G, C] @returns [B, g * g, d] */
  low(tokens: Tensor<'f32'>): Tensor<'f32'> {
    return tidy([tokens], (tokens) => {
      const projected = project(tokens, this.#weights);
      const side = Math.sqrt(projected.shape[1]);
      const places = this.#places(0, [side, side], tokens);
      return places ? add(projected, places) : projected;
    });
  }

  /**
   * Complete groups of one high-res scale.
   *
   * @param tokens  [K, C], the patches taken of the scale, in raster order, also of several images
   * @param scale   from 0
   * @param grid    of its patches
   * @returns       [groups, d]; undefined where there is none
   */
  high(tokens: Tensor<'f32'>, groups: Groups, scale: number, [Y, X]: Grid): Tensor<'f32'> | undefined {
    const { ratio } = this;
    const count = groups.index.length;
    if (count === 0) return undefined;
    return tidy([tokens], (tokens) => {
      const C = tokens.shape[1];
      const upload = (numbers: Uint32Array, shape: readonly number[]): Tensor => {
        const indices = output([tokens], shape, 'u32');
        indices.write(numbers);
        return indices;
      };
      const rows = embedding(tokens, upload(groups.patches, [count, ratio * ratio]));
      const projected = projectJoined(rows.reshape([count, ratio * ratio * C]), this.#weights);
      const wanted: Grid = [Math.ceil(Y / ratio), Math.ceil(X / ratio)];
      const repeated = this.#repeats(wanted);
      const places = this.#places(scale + 1, repeated ? repeated.grid : wanted, tokens);
      if (!places) return projected;
      const [, n, d] = places.shape;
      const index = repeated ? groups.index.map(repeated.at) : groups.index;
      return add(projected, embedding(places.reshape([n, d]), upload(index, [count])));
    });
  }

  /** The query of a selection. @param state  [B, d], of the language model @returns [B, C] */
  prompt(state: Tensor<'f32'>): Tensor<'f32'> {
    const head = this.#weights.in('top_down_prompt_head');
    return head.has('fc1.weight') ? normedMlp(state, head) : linearLayer(state, head);
  }

  /**
   * Of a grid whose sides are multiples of the table's, where each entry is repeated: the table's grid, and the entry of a cell. The whole
   * grid of an image of 4K would be hundreds of megabytes.
   */
  #repeats([h, w]: Grid): { grid: Grid; at: (cell: number) => number } | undefined {
    if (!this.#weights.has('high_res_pos_embed')) return undefined;
    const G = Math.sqrt(this.#weights.get('high_res_pos_embed').shape[1]);
    if (h % G !== 0 || w % G !== 0) return undefined;
    const at = (cell: number): number =>
      Math.floor((Math.floor(cell / w) * G) / h) * G + Math.floor(((cell % w) * G) / w);
    return { grid: [G, G], at };
  }

  /**
   * Places and scale on a grid, [1, h * w, d]: the table, averaged over or repeated in cells; undefined for a model without.
   *
   * @param like  whose scope they are made for
   */
  #places(scale: number, grid: Grid, like: Tensor): Tensor<'f32'> | undefined {
    if (!this.#weights.has('high_res_pos_embed')) return undefined;
    const stored = (name: string): Tensor<'f32'> => cast(this.#weights.get(name).in(like.scope), 'f32');
    const table = stored('high_res_pos_embed');
    const [, n, d] = table.shape;
    const G = Math.sqrt(n);
    const map = permute(table.reshape([1, G, G, d]), [0, 3, 1, 2]);
    const same = G === grid[0] && G === grid[1];
    const resized = tokensOf(same ? map : resize(map, grid, 'area'));
    return add(resized, stored(`high_res_scale_embed.${scale}`));
  }
}
