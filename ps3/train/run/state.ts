// What training goes on from besides weights and progress: training_state.safetensors of a checkpoint.
import {
  openSafetensors,
  type ParameterStore,
  type Tensor,
  type TensorToWrite,
  writeSafetensors,
} from '../../../engine/index.ts';

/** Name of the file. */
export const STATE = 'training_state.safetensors';

/** Tensors that a checkpoint holds beside the weights, and a resumed run fills: of each store of parameters by itself. */
export type TrainingState = readonly StoreState[];

/** What goes on beside the weights of one store. Names are those of the file. */
export interface StoreState {
  /** Stands before the names of its tensors that are not those of a parameter; '' by default. */
  readonly prefix?: string;
  /** What is trained. */
  readonly parameters: ParameterStore;
  /**
   * Each as many tensors as the parameters have arenas that are trained, and of their shapes, such as the moments
   * of an optimizer.
   * Stored by parameter, so that an adapter with other arenas goes on from it too.
   */
  readonly arenas: Readonly<Record<string, readonly Tensor[]>>;
  /** Any others, such as the number of steps that an optimizer has taken. */
  readonly tensors: Readonly<Record<string, Tensor>>;
}

const STORED = {
  f32: { dtype: 'F32', Numbers: Float32Array },
  f16: { dtype: 'F16', Numbers: Uint16Array },
  bf16: { dtype: 'BF16', Numbers: Uint16Array },
  i32: { dtype: 'I32', Numbers: Int32Array },
  u32: { dtype: 'U32', Numbers: Uint32Array },
  u8: { dtype: 'U8', Numbers: Uint8Array },
} as const;

/** A tensor of a state by its name in the file. */
interface Entry {
  readonly name: string;
  readonly dtype: keyof typeof STORED;
  readonly shape: readonly number[];
  /** A handle on it, which the caller disposes. */
  readonly open: () => Tensor;
}

function entriesOf({ prefix = '', parameters, arenas, tensors }: StoreState): Entry[] {
  const inArenas = Object.entries(arenas).flatMap(([kind, arena]) =>
    parameters.trainedNames.map((name) => ({
      name: `${kind}.${name}`,
      dtype: arena[0].dtype,
      shape: parameters.get(name).shape,
      open: () => parameters.viewOf(arena, name),
    })),
  );
  const others = Object.entries(tensors).map(([name, tensor]) => {
    const { dtype, shape } = tensor;
    return { name: `${prefix}${name}`, dtype, shape, open: () => tensor.view(0, shape) };
  });
  return [...inArenas, ...others];
}

/** Writes a state, one tensor in memory at a time. @throws FileError */
export async function writeState(path: string, state: TrainingState): Promise<void> {
  const tensors = state.flatMap(entriesOf).map(
    ({ name, dtype, shape, open }): TensorToWrite => ({
      name,
      dtype: STORED[dtype].dtype,
      shape: [...shape],
      data: async () => {
        using tensor = open();
        return await tensor.data();
      },
    }),
  );
  await writeSafetensors(path, tensors);
}

/** Fills a state. @throws SafetensorsError for a tensor that the file lacks */
export async function readState(path: string, state: TrainingState): Promise<void> {
  await using file = await openSafetensors(path);
  for (const { name, dtype, open } of state.flatMap(entriesOf)) {
    const { buffer } = await file.bytes(name);
    using tensor = open();
    tensor.write(new STORED[dtype].Numbers(buffer));
  }
}
