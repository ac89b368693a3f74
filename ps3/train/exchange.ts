// What ranks that train one model tell each other of their tensors: sums of gradients, and whether their weights agree.
import {
  cast,
  type Engine,
  hashFunctions,
  noGrad,
  type ParameterStore,
  type Tensor,
} from '../../engine/index.ts';
import { sumBf16 } from '../ranks/bf16_sum.ts';
import { RanksError, type Transport } from '../ranks/transport.ts';

/** As what gradients travel. */
export const REDUCE_DTYPES = ['f32', 'bf16'] as const;
/** A name of `REDUCE_DTYPES`. */
export type ReduceDType = (typeof REDUCE_DTYPES)[number];

/** Elements that are exchanged at a time, 16 MiB in f32. A multiple of the strictest alignment of views. */
const BUCKET_ELEMENTS = 2 ** 22;

/** Replaces numbers, [1] each, by their sums over all ranks. */
export async function sumScalars(transport: Transport, scalars: readonly Tensor<'f32'>[]): Promise<void> {
  if (transport.size === 1 || scalars.length === 0) return;
  const reads = await Promise.all(scalars.map((scalar) => scalar.data()));
  const values = Float32Array.from(reads, ([value]) => value);
  await transport.allReduce(values);
  for (const [i, scalar] of scalars.entries()) scalar.write(values.subarray(i, i + 1));
}

/** Means over all ranks of numbers by name; every rank has the same names, and in the end the same numbers. */
export async function meansOf<T extends Readonly<Record<string, number>>>(
  transport: Transport,
  numbers: T,
): Promise<T> {
  const { size } = transport;
  if (size === 1) return numbers;
  const names = Object.keys(numbers).sort();
  const sums = Float32Array.from(names, (name) => numbers[name]);
  await transport.allReduce(sums);
  return Object.fromEntries(names.map((name, i) => [name, sums[i] / size])) as T;
}

/**
 * Replaces the gradients of all parameters by their sums over all ranks, bucket by bucket: one is summed while the next one
 * is read.
 */
export async function sumGradients(
  engine: Engine,
  transport: Transport,
  { arenas }: ParameterStore,
  dtype: ReduceDType,
): Promise<void> {
  if (transport.size === 1) return;
  const buckets = arenas.flatMap(({ gradients }) => (gradients ? bucketsOf(gradients) : []));
  if (buckets.length === 0) return;
  const read = async (bucket: Tensor<'f32'>): Promise<Float32Array | Uint16Array> => {
    if (dtype === 'f32') return bucket.data();
    using half = noGrad(() => cast(bucket, 'bf16'));
    return await half.data();
  };
  try {
    let coming = read(buckets[0]);
    for (const [i, bucket] of buckets.entries()) {
      const values = await coming;
      if (i + 1 < buckets.length) {
        coming = read(buckets[i + 1]);
        coming.catch(() => undefined); // awaited in the next round, if there is one
      }
      if (values instanceof Float32Array) {
        await transport.allReduce(values);
        bucket.write(values);
      } else {
        await sumBf16(transport, values);
        using half = engine.tensor(values, bucket.shape, { dtype: 'bf16' });
        using sum = noGrad(() => cast(half, 'f32'));
        bucket.write(sum);
      }
    }
  } finally {
    for (const bucket of buckets) bucket.dispose();
  }
}

/**
 * Compares the weights of all ranks.
 *
 * @param where  what was done last, for the message
 * @throws RanksError when they are not the same to the bit
 */
export async function expectSameWeights(
  transport: Transport,
  { arenas }: ParameterStore,
  where: string,
): Promise<void> {
  const { size } = transport;
  if (size === 1) return;
  const { createHash } = await hashFunctions();
  const hash = createHash('sha256');
  for (const { values } of arenas)
    for (const bucket of bucketsOf(values)) {
      using part = bucket;
      hash.update(await part.data());
    }
  const own = hash.digest();
  const all = Buffer.from(await transport.allGather(own));
  const digests = Array.from({ length: size }, (_, r) => all.subarray(r * own.length, (r + 1) * own.length));
  const others = digests.flatMap((digest, r) => (digest.equals(digests[0]) ? [] : [r]));
  if (others.length > 0)
    throw new RanksError(
      `train: every rank must have the same weights ${where}, got others than rank 0's on rank ${others.join(', ')}. ` +
        'Use the same adapter, driver, data and checkpoint on all of them.',
    );
}

/** Views on a long tensor, one after another; the caller disposes them. */
function bucketsOf(arena: Tensor<'f32'>): Tensor<'f32'>[];
function bucketsOf(arena: Tensor): Tensor[];
function bucketsOf(arena: Tensor): Tensor[] {
  const count = Math.ceil(arena.size / BUCKET_ELEMENTS);
  return Array.from({ length: count }, (_, i) => {
    const start = i * BUCKET_ELEMENTS;
    return arena.view(start, [Math.min(BUCKET_ELEMENTS, arena.size - start)]);
  });
}
