// Replays the operator cases of a file and compares every result. tests/fixtures/README.md describes the format.
import {
  type Engine,
  openSafetensors,
  type SafetensorsDType,
  type SafetensorsFile,
  type Tensor,
} from '../../engine/index.ts';
import { type Attribute, Call, type Operator, Skip, toNumbers, type Value } from './call.ts';
import { ELEMENTWISE } from './elementwise.ts';
import { NETWORKS } from './networks.ts';
import { REDUCTIONS } from './reductions.ts';
import { SHAPES } from './shapes.ts';

export const OPERATORS: Readonly<Record<string, Operator>> = {
  ...ELEMENTWISE,
  ...REDUCTIONS,
  ...SHAPES,
  ...NETWORKS,
};

/** The two reasons for which a case is left out. */
export const OTHER_OPERATOR = 'an operator that is not one of transformers and their training';
export const OTHER_DTYPE = 'a dtype, or a rank of images, that the engine does not hold';

export interface Outcome {
  readonly name: string;
  readonly op: string;
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly status: 'passed' | 'failed' | 'skipped';
  /** Why it was skipped, or where it failed, with what it got and what it wants. */
  readonly reason?: string;
  /** What exactly was skipped. */
  readonly detail?: string;
}

interface Case {
  readonly op: string;
  readonly opset: number;
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly inputs: readonly string[];
  readonly graph_inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * |got - want| <= abs + rel max|want|, the maximum over the finite elements of a result.
 *
 * float    as the kernel tests: sums and functions round to some 1e-6 of the largest magnitude.
 * half     the engine computes in f32, the reference rounds every step to 11 bits: four half ulps.
 * bfloat   the same at 8 bits.
 */
const TOLERANCE: Readonly<Record<string, { abs: number; rel: number }>> = {
  F32: { abs: 1e-6, rel: 5e-6 },
  F16: { abs: 1e-6, rel: 4 * 2 ** -11 },
  BF16: { abs: 1e-6, rel: 4 * 2 ** -8 },
};
const EXACT = { abs: 0, rel: 0 };

/** What the engine can hold results of; truth values as f32 of 0 and 1, integers of 64 bits where they fit into 32. */
const HELD = new Set<string>(['F32', 'F16', 'BF16', 'I32', 'U32', 'U8', 'I64', 'U64', 'BOOL']);

/** Replays every case of a file, in its order. */
export async function* replay(engine: Engine, source: string | Uint8Array): AsyncGenerator<Outcome> {
  await using file = await openSafetensors(source);
  for (const [name, text] of Object.entries(file.metadata)) {
    const one = JSON.parse(text) as Case;
    yield { name, op: one.op, attributes: one.attributes, ...(await replayCase(engine, file, name, one)) };
  }
}

async function replayCase(
  engine: Engine,
  file: SafetensorsFile,
  name: string,
  { op, opset, attributes, inputs, graph_inputs, outputs }: Case,
): Promise<Pick<Outcome, 'status' | 'reason' | 'detail'>> {
  const operator = OPERATORS[op];
  if (!operator) return { status: 'skipped', reason: OTHER_OPERATOR, detail: op };
  using scope = engine.scope();
  const value = async (key: string): Promise<Value> => {
    const { dtype, shape } = file.tensors.get(key)!;
    return { dtype: dtype as SafetensorsDType, shape, numbers: await file.read(key) };
  };
  const values = await Promise.all(
    inputs.map((input) => (input === '' ? undefined : value(`${name}/in.${graph_inputs.indexOf(input)}`))),
  );
  const names = outputs.filter((output) => output !== '');
  const wants = await Promise.all(names.map((_output, i) => value(`${name}/out.${i}`)));
  try {
    for (const { dtype } of wants) if (!HELD.has(dtype)) throw new Skip(dtype);
    const results = operator(new Call(engine, scope, opset, values, outputs, attributes));
    const tensors = 'dtype' in results ? [results] : results;
    for (const [i, output] of outputs.entries()) {
      const wrong = output === '' ? undefined : await difference(tensors[i], wants[names.indexOf(output)]);
      if (wrong) return { status: 'failed', reason: `${output}${wrong}` };
    }
    return { status: 'passed' };
  } catch (error) {
    if (error instanceof Skip) return { status: 'skipped', reason: OTHER_DTYPE, detail: error.message };
    return { status: 'failed', reason: String(error) };
  }
}

/** Where a result differs most from what the file holds; undefined where it agrees. */
async function difference(
  result: Tensor | undefined,
  { dtype, shape, numbers }: Value,
): Promise<string | undefined> {
  if (!result) return ': got no result';
  if (result.shape.join() !== shape.join()) return `: got shape [${result.shape}], want [${shape}]`;
  const want = toNumbers(numbers);
  const data = Array.from(await result.data());
  // Bytes are computed as integers of 32 bits, of which they are the low ones.
  const got = dtype === 'U8' ? data.map((number) => number & 0xff) : data;
  const { abs, rel } = TOLERANCE[dtype] ?? EXACT;
  const largest = want.filter(Number.isFinite).reduce((most, number) => Math.max(most, Math.abs(number)), 0);
  let worst = -1;
  let most = abs + rel * largest;
  for (let e = 0; e < want.length; e++) {
    if (Object.is(got[e], want[e])) continue;
    const off = Number.isFinite(want[e]) ? Math.abs(got[e] - want[e]) : Infinity;
    if (off <= most) continue;
    worst = e;
    most = Number.isNaN(off) ? Infinity : off;
  }
  return worst < 0 ? undefined : `[${indexOf(worst, shape)}]: got ${got[worst]}, want ${want[worst]}`;
}

/** The index of an element along each axis. */
function indexOf(element: number, shape: readonly number[]): string {
  const index: number[] = [];
  let rest = element;
  for (const extent of [...shape].reverse()) {
    index.unshift(rest % extent);
    rest = Math.floor(rest / extent);
  }
  return index.join(', ');
}
