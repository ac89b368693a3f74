// Matrices in integers as files have them: the format `pack-quantized` of compressed-tensors, which config.json names in its
// `quantization_config`. https://github.com/vllm-project/compressed-tensors
//
//   LAYER.weight_packed  [N, K bits / 32] int32: integers + 2^(bits - 1), the first in the lowest bits
//   LAYER.weight_scale   [N, K / group] f16: what an integer is multiplied by
//   LAYER.weight_shape   [2] int64: N, K
import * as v from 'valibot';
import {
  type Engine,
  QuantizedMatrix,
  type SafetensorsFile,
  type TensorToWrite,
} from '../../engine/index.ts';
import type { FillOptions } from '../model/checkpoint/checkpoint.ts';
import { total } from '../model/config/config.ts';
import { check } from '../model/config/schema.ts';
import type { StoredPart } from './parameters.ts';

/** How integers are stored. */
export interface IntegerFormat {
  /** Bits of an integer. */
  readonly bits: 4 | 8;
  /** Neighbours of a row that share a factor. */
  readonly group: 32 | 128;
}

const literal = <T extends string | number | boolean>(value: T) => v.literal(value, JSON.stringify(value));

const schema = v.looseObject({
  quant_method: literal('compressed-tensors'),
  format: literal('pack-quantized'),
  config_groups: v.strictObject({
    group_0: v.looseObject({
      weights: v.looseObject({
        num_bits: v.picklist([4, 8], '4 or 8'),
        type: literal('int'),
        symmetric: literal(true),
        strategy: literal('group'),
        group_size: v.picklist([32, 128], '32 or 128'),
        actorder: v.nullish(v.never('null')),
      }),
      input_activations: v.nullish(v.never('null')),
      output_activations: v.nullish(v.never('null')),
    }),
  }),
});

/** @param json  a parsed config.json @throws ConfigError for integers in a form that is not built */
export function parseIntegerFormat(json: unknown): IntegerFormat | undefined {
  const { quantization_config: given } = Object(json) as { quantization_config?: unknown };
  if (given === undefined || given === null) return undefined;
  const { weights } = check(schema, given, 'config.json.quantization_config').config_groups.group_0;
  return { bits: weights.num_bits, group: weights.group_size };
}

/** Of config.json. @param ignore  layers with matrices in floats */
export function toQuantizationConfig(
  { bits, group }: IntegerFormat,
  ignore: readonly string[],
): Record<string, unknown> {
  return {
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    quantization_status: 'compressed',
    config_groups: {
      group_0: {
        targets: ['Linear', 'Embedding'],
        weights: {
          ...{ num_bits: bits, type: 'int', symmetric: true, strategy: 'group', group_size: group },
          ...{ dynamic: false, actorder: null },
        },
        input_activations: null,
        output_activations: null,
      },
    },
    ignore,
  };
}

/** What is stored of a matrix: its integers or its factors, the same rows of those of a parameter. */
export interface IntegerPart extends StoredPart {
  readonly kind: 'values' | 'scales';
  readonly dtype: 'I32' | 'F16';
}

/** The stored tensors of a matrix in integers, by name. @param part  the matrix as it would be in floats */
export function integerParts(
  name: string,
  { parameter, start, shape: [N, K] }: StoredPart,
  { bits, group }: IntegerFormat,
): [name: string, part: IntegerPart][] {
  const perWord = 32 / bits;
  const values = { kind: 'values', dtype: 'I32', shape: [N, K / perWord], start: start / perWord } as const;
  const scales = { kind: 'scales', dtype: 'F16', shape: [N, K / group], start: start / group } as const;
  return [
    [`${name}_packed`, { parameter, ...values }],
    [`${name}_scale`, { parameter, ...scales }],
  ];
}

/** Of a tensor that repeats what shapes tell. */
export const isShape = (name: string): boolean => name.endsWith('.weight_shape');

/** Files count integers from 0 on, the engine has them in two's complement: they differ in the highest bit of each. */
function flipped(words: Uint32Array<ArrayBuffer>, bits: number): Uint32Array<ArrayBuffer> {
  const highest = bits === 4 ? 0x88888888 : 0x80808080;
  return words.map((word) => word ^ highest);
}

/** Bytes of a file that are in memory at a time. */
const PIECE_BYTES = 2 ** 24;

/**
 * Reads matrices in integers as they are.
 *
 * @param shapes  of the parameters in integers, [N, K]
 * @param parts   by their names in the files
 */
export async function readIntegers(
  engine: Engine,
  shapes: ReadonlyMap<string, readonly number[]>,
  parts: ReadonlyMap<string, IntegerPart>,
  files: readonly SafetensorsFile[],
  { bits, group }: IntegerFormat,
  { signal, onProgress }: Pick<FillOptions, 'signal' | 'onProgress'>,
): Promise<Map<string, QuantizedMatrix>> {
  const made = new Map<string, QuantizedMatrix>();
  const all = total(
    files.flatMap(({ tensors }) =>
      [...tensors].map(([name, { sizeBytes }]) => (parts.has(name) ? sizeBytes : 0)),
    ),
  );
  let done = 0;
  try {
    for (const [name, [N, K]] of shapes) {
      const values = engine.empty([N, (K * bits) / 32], { dtype: 'u32' });
      const scales = engine.empty([N, K / group], { dtype: 'f16' });
      made.set(name, new QuantizedMatrix(values, scales, { bits }));
    }
    for (const file of files)
      for (const name of file.tensors.keys()) {
        const part = parts.get(name);
        if (!part) continue;
        const { kind } = part;
        const tensor = made.get(part.parameter)![kind];
        let at = part.start;
        for await (const { buffer } of file.chunks(name, PIECE_BYTES)) {
          signal?.throwIfAborted();
          const numbers =
            kind === 'values' ? flipped(new Uint32Array(buffer), bits) : new Uint16Array(buffer);
          using piece = tensor.view(at, [numbers.length]);
          piece.write(numbers);
          await tensor.ready();
          at += numbers.length;
          done += buffer.byteLength;
          onProgress?.(done, all);
        }
      }
    return made;
  } catch (error) {
    for (const matrix of made.values()) matrix.dispose();
    throw error;
  }
}

/** A matrix in integers as tensors of a file. @param part  the matrix as it would be in floats */
export function integersToWrite(name: string, part: StoredPart, matrix: QuantizedMatrix): TensorToWrite[] {
  const { bits } = matrix;
  const written = integerParts(name, part, formatOf(matrix)).map(
    ([name, { kind, dtype, start, shape }]): TensorToWrite => {
      const data = async (): Promise<ArrayBufferView> => {
        using rows = matrix[kind].view(start, shape);
        const numbers = await rows.data();
        if (kind === 'scales') return numbers;
        return new Int32Array(flipped(numbers as Uint32Array<ArrayBuffer>, bits).buffer);
      };
      return { name, dtype, shape, data };
    },
  );
  const extents = BigInt64Array.from(part.shape, BigInt);
  return [...written, { name: `${name}_shape`, dtype: 'I64', shape: [2], data: extents }];
}

/** How a matrix is stored. */
export function formatOf({ bits, group }: QuantizedMatrix): IntegerFormat {
  return { bits, group: group as IntegerFormat['group'] };
}
