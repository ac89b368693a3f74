// What the worker asks of a checkpoint, whichever kind of model it holds, and what both kinds tell of themselves.
import type { Engine, ParameterStore, Tensor } from '../../../engine/index.ts';
import { total, type VisionConfig } from '../../model/config/config.ts';
import type { DecodedImage } from '../../model/decoder.ts';
import { type Grid, scaleGrids } from '../../model/vision/scales.ts';
import type { Answer, ModelFacts, Request, SaliencyMap } from './messages.ts';

export type Post = (answer: Answer) => void;

/** What is asked about the image that was read. */
export type AboutImage = Extract<Request, { kind: 'look' | 'ask' | 'compare' }>;

/** A model and the image that it was given. */
export interface Opened extends Disposable {
  readonly facts: ModelFacts;
  /** Takes another image. */
  read(image: DecodedImage): Promise<Answer & { kind: 'read' }>;
  /** Answers about the image; says that it stopped where there is none. @throws the signal's reason */
  answer(request: AboutImage, post: Post, signal: AbortSignal): Promise<void>;
}

/** Facts of a tower and the adapter that it runs on. @param stores  all weights of the model */
export function towerFacts(
  { adapterName, isSoftware }: Engine,
  vision: VisionConfig,
  stores: readonly ParameterStore[],
): Pick<
  ModelFacts,
  'adapter' | 'isSoftware' | 'parameterCount' | 'weightsBytes' | 'scalesPx' | 'budgets' | 'grids'
> {
  const { scalesPx, budgets } = vision;
  const side = scalesPx[scalesPx.length - 1];
  return {
    adapter: adapterName,
    isSoftware,
    parameterCount: total(stores.flatMap((store) => store.names.map((name) => store.get(name).size))),
    weightsBytes: total(stores.flatMap(({ arenas }) => arenas.map(({ values }) => values.sizeBytes))),
    scalesPx,
    budgets,
    grids: scaleGrids(vision, side, side),
  };
}

/** Of the coarsest grid: the finer ones are the same map, enlarged. @param map  of as many cells as the grid */
export async function mapOf(map: Tensor<'f32'>, grid: Grid): Promise<SaliencyMap> {
  return { grid, values: await map.data() };
}
