// Attention whose tiles are multiplied on matrix units, real ones where the device has some, else emulated, beside its twin.
import { attention, backward, type Tensor, withProducts } from '../../engine/index.ts';
import { compare, engine, random, tensor } from '../harness.ts';
import { headGradients } from '../reference/attention.ts';
import { fromHalf, toHalf } from '../reference/cast.ts';
import { withMatrixUnit } from '../shaders/subgroup_matrix.ts';

const unit = engine.target.matrixUnit ?? { M: 8, N: 8, K: 8 };
const halves = (x: Float64Array): Float64Array => x.map((value) => fromHalf(toHalf(value)));

/** What rounding of weights and gradients to f16 (2^-11 of each) may change, as a share of the largest number. */
const ROUNDED = { abs: 0, rel: 2e-3 };

/** Of one head, [rows, K]; the result, and gradients of q, k and v. */
async function attended(
  { q, k, v, dout }: Readonly<Record<'q' | 'k' | 'v' | 'dout', Float64Array>>,
  [T, N, M, K]: readonly number[],
  causal: boolean,
): Promise<Float32Array[]> {
  using scope = engine.scope();
  const leaf = (data: Float64Array, rows: number): Tensor =>
    tensor(data, [1, rows, 1, K], { scope, requiresGrad: true });
  const kept = (data: Float64Array): Tensor => leaf(data.slice(0, N * K), N);
  const own = (data: Float64Array): Tensor => leaf(data.slice(N * K), M);
  const queries = leaf(q, T);
  const [ck, cv, ok, ov] = [kept(k), kept(v), own(k), own(v)];
  return withMatrixUnit(engine, unit, async () => {
    const cached = N > 0 ? { k: ck, v: cv } : undefined;
    const out = withProducts('f16', () =>
      attention(queries, ok, ov, { cached, causal, force: 'query_blocks' }),
    );
    backward(out, { seed: tensor(dout, [1, T, 1, K], { scope }) });
    const joined = async (before: Tensor, after: Tensor): Promise<Float32Array> =>
      Float32Array.of(...(N > 0 ? await before.grad!.data() : []), ...(await after.grad!.data()));
    return [await out.data(), await queries.grad!.data(), await joined(ck, ok), await joined(cv, ov)];
  });
}

/** Throws unless output and gradients of T queries over N cached and M keys of K are those of the twin. */
export async function compareOnMatrixUnits([T, N, M, K]: readonly number[], causal = false): Promise<void> {
  const operands = {
    q: halves(random(T * K, 1)),
    k: halves(random((N + M) * K, 2)),
    v: halves(random((N + M) * K, 3)),
    dout: halves(random(T * K, 4)),
  };
  const { q, k, v, dout } = operands;
  const want = headGradients(q, k, v, dout, { T, M: N + M, K, causal });
  const [out, dq, dk, dv] = await attended(operands, [T, N, M, K], causal);
  compare('out', out, want.out, ROUNDED);
  compare('dq', dq, want.dq, ROUNDED);
  compare('dk', dk, want.dk, ROUNDED);
  compare('dv', dv, want.dv, ROUNDED);
}
