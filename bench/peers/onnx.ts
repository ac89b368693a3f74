// Writes an ONNX model: enough to ask ONNX Runtime for an op, or for a decoder.
// Fields by number: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
export type OnnxType = 'float32' | 'uint8' | 'int32' | 'int64';

export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
}

/** Strings, whole numbers, floats and lists of whole numbers. */
export type OnnxAttributes = Readonly<
  Record<string, string | number | { float: number } | readonly number[]>
>;

export interface OnnxNode {
  readonly op: string;
  /** '' for the standard operators. */
  readonly domain?: string;
  readonly attributes?: OnnxAttributes;
  /** Names of values; '' stands for one that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly operands: readonly OnnxValue[];
  readonly results: readonly OnnxValue[];
  /** Values that never change: lists of whole numbers, int64 unless told. */
  readonly constants?: Readonly<Record<string, readonly number[] | { readonly int32: readonly number[] }>>;
  /** Results that are written over an operand, by their names. */
  readonly inPlace?: Readonly<Record<string, string>>;
  /** Values that never change, whose bytes are given to the session, each under its own name. */
  readonly weights?: readonly OnnxValue[];
}

const OPSET = 20;
const IR_VERSION = 9;
const TYPE_CODES: Record<OnnxType, number> = { float32: 1, uint8: 2, int32: 6, int64: 7 };
const ATTRIBUTE = { float: 1, int: 2, string: 3, ints: 7 } as const;
const EXTERNAL = 1;

export function encodeModel(model: OnnxModel): Uint8Array {
  const { nodes, operands, results, constants = {}, weights = [] } = model;
  const graph = [
    ...nodes.flatMap((one) => message(1, node(one))),
    ...text(2, 'graph'),
    ...Object.entries(constants).flatMap(([name, values]) => message(5, constant(name, values))),
    ...weights.flatMap((value) => message(5, weight(value))),
    ...operands.flatMap((value) => message(11, valueInfo(value))),
    ...results.flatMap((value) => message(12, valueInfo(value))),
  ];
  const domains = new Set(nodes.map(({ domain = '' }) => domain));
  domains.delete('');
  return Uint8Array.from([
    ...whole(1, IR_VERSION),
    ...message(7, graph),
    ...message(8, [...text(1, ''), ...whole(2, OPSET)]),
    ...[...domains].flatMap((domain) => message(8, [...text(1, domain), ...whole(2, 1)])),
  ]);
}

function node({ op, domain = '', attributes = {}, inputs, outputs }: OnnxNode): number[] {
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(4, op),
    ...Object.entries(attributes).flatMap(([name, value]) => message(5, attribute(name, value))),
    ...text(7, domain),
  ];
}

function attribute(name: string, value: string | number | { float: number } | readonly number[]): number[] {
  if (typeof value === 'string') return [...text(1, name), ...text(4, value), ...whole(20, ATTRIBUTE.string)];
  if (typeof value === 'number') return [...text(1, name), ...whole(3, value), ...whole(20, ATTRIBUTE.int)];
  if ('float' in value) {
    const bytes = new Uint8Array(Float32Array.of(value.float).buffer);
    return [...text(1, name), ...varint((2 << 3) | 5), ...bytes, ...whole(20, ATTRIBUTE.float)];
  }
  return [...text(1, name), ...value.flatMap((one) => whole(8, one)), ...whole(20, ATTRIBUTE.ints)];
}

function valueInfo({ name, type, shape }: OnnxValue): number[] {
  const extents = shape.flatMap((extent) => message(1, whole(1, extent)));
  return [
    ...text(1, name),
    ...message(2, message(1, [...whole(1, TYPE_CODES[type]), ...message(2, extents)])),
  ];
}

function constant(name: string, given: readonly number[] | { readonly int32: readonly number[] }): number[] {
  const isShort = 'int32' in given;
  const values = isShort ? given.int32 : given;
  return [
    ...whole(1, values.length),
    ...whole(2, TYPE_CODES[isShort ? 'int32' : 'int64']),
    ...values.flatMap((value) => whole(isShort ? 5 : 7, value)),
    ...text(8, name),
  ];
}

/** A tensor whose bytes are in a file of its own name. */
function weight({ name, type, shape }: OnnxValue): number[] {
  return [
    ...shape.flatMap((extent) => whole(1, extent)),
    ...whole(2, TYPE_CODES[type]),
    ...text(8, name),
    ...message(13, [...text(1, 'location'), ...text(2, name)]),
    ...whole(14, EXTERNAL),
  ];
}

/** Protocol buffers: a key is the field's number and how its value is written, 0 a varint, 2 length and bytes. */
function whole(field: number, value: number): number[] {
  return [...varint(field << 3), ...varint(value)];
}

function message(field: number, bytes: readonly number[]): number[] {
  return [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)]);
}

/** Seven bits per byte, lowest first; whole numbers from 0. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}
