// Measures which of the planner's choices is the fastest, for the shapes that a user needs. The
// table is made once, kept as JSON, and given to Engine.create.
import { EngineError } from './gpu/errors.ts';
import type { Gpu } from './gpu/gpu.ts';
import type { MatmulForce, Tuning } from './gpu/tuning.ts';
import { matmul } from './ops/matmul/matmul.ts';
import { type MatmulShape, matmulCandidates, matmulKey } from './ops/matmul/plan.ts';
import { Random } from './tensor/random.ts';
import { Scope, Tensor } from './tensor/tensor.ts';

/** A candidate that was measured. */
export interface Trial {
  /** As in the table: '729x1152x4304 NT'. */
  readonly shape: string;
  /** What the planner was forced to. */
  readonly choice: MatmulForce;
  /** Time of one matmul, milliseconds. */
  readonly ms: number;
  /** Largest error as a share of what is allowed; above 1 the choice is wrong and not timed. */
  readonly error: number;
}

const SAMPLES = 5;
const SAMPLE_MS = 10;

/** @throws EngineError when no candidate computes the matmul */
export async function tune(
  gpu: Gpu,
  shapes: readonly MatmulShape[],
  onTrial: (trial: Trial, done: number, total: number) => void = () => undefined,
): Promise<Tuning> {
  const all = shapes.map((shape) => ({ shape, choices: matmulCandidates(gpu.target, shape) }));
  const total = all.reduce((sum, { choices }) => sum + choices.length, 0);
  const table: Record<string, MatmulForce> = {};
  let done = 0;
  for (const { shape, choices } of all) {
    using product = new RandomProduct(gpu, shape);
    const key = matmulKey(shape);
    let best: Trial | undefined;
    for (const choice of choices) {
      const error = await product.error(choice);
      const ms = error <= 1 ? await product.time(choice) : Number.POSITIVE_INFINITY;
      const trial = { shape: key, choice, ms, error };
      onTrial(trial, ++done, total);
      if (ms < (best?.ms ?? Number.POSITIVE_INFINITY)) best = trial;
    }
    if (!best)
      throw new EngineError(
        'tune',
        `tune: a candidate for ${key} must be right, got none. Report the adapter.`,
      );
    table[key] = best.choice;
  }
  return { adapter: gpu.adapterName, matmul: table };
}

/** Random operands of one shape with what a correct result has to satisfy. */
class RandomProduct {
  readonly #gpu: Gpu;
  readonly #shape: MatmulShape;
  readonly #scope = new Scope();
  readonly #a: Tensor;
  readonly #b: Tensor;
  /** Signs by which the columns of c are added up. */
  readonly #signs: Float64Array;
  /** [batch, M], float64: op(a) (op(b) signs). */
  readonly #want: Float64Array;

  constructor(gpu: Gpu, shape: MatmulShape) {
    this.#gpu = gpu;
    this.#shape = shape;
    const { M, N, K, transposeA, transposeB, batch = 1 } = shape;
    const random = new Random(M * N + K);
    // Multiples of 1/1024: matrix units round operands to f16, which then changes nothing.
    const numbers = (n: number): Float32Array =>
      Float32Array.from({ length: n }, () => Math.round(random.range(-1024, 1024)) / 1024);
    const a = numbers(batch * M * K);
    const b = numbers(batch * K * N);
    const lead = batch > 1 ? [batch] : [];
    this.#a = this.#upload(a, [...lead, ...(transposeA ? [K, M] : [M, K])]);
    this.#b = this.#upload(b, [...lead, ...(transposeB ? [N, K] : [K, N])]);
    this.#signs = Float64Array.from({ length: N }, () => (random.bits() & 1 ? 1 : -1));
    this.#want = new Float64Array(batch * M);
    const folded = new Float64Array(K);
    for (let z = 0; z < batch; z++) {
      folded.fill(0);
      for (let k = 0; k < K; k++)
        for (let n = 0; n < N; n++)
          folded[k] += b[z * K * N + (transposeB ? n * K + k : k * N + n)] * this.#signs[n];
      for (let m = 0; m < M; m++)
        for (let k = 0; k < K; k++)
          this.#want[z * M + m] += a[z * M * K + (transposeA ? k * M + m : m * K + k)] * folded[k];
    }
  }

  #upload(data: Float32Array, shape: readonly number[]): Tensor {
    const tensor = Tensor.empty(this.#gpu, shape, 'f32', this.#scope);
    tensor.write(data);
    return tensor;
  }

  #multiply(force: MatmulForce): Tensor {
    const { transposeA, transposeB } = this.#shape;
    return matmul(this.#a, this.#b, { transposeA, transposeB, force });
  }

  /**
   * Every row of c, added up by random signs, against float64: a wrong element shows whatever the others are. As a share of
   * what rounding may do to sums of N products of K terms.
   *
   * Source: Freivalds 1977, "Probabilistic machines can use less running time".
   */
  async error(force: MatmulForce): Promise<number> {
    const { N, K } = this.#shape;
    using c = this.#multiply(force);
    const got = await c.data();
    const allowed = 1e-6 * Math.max(1, K) * Math.sqrt(N);
    let worst = 0;
    this.#want.forEach((want, row) => {
      let sum = 0;
      for (let n = 0; n < N; n++) sum += got[row * N + n] * this.#signs[n];
      const error = Math.abs(sum - want) / allowed;
      worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
    });
    return worst;
  }

  /** Milliseconds per matmul: the median of some samples of several matmuls each. */
  async time(force: MatmulForce): Promise<number> {
    const sample = async (count: number): Promise<number> => {
      await this.#gpu.idle();
      const start = performance.now();
      for (let i = 0; i < count; i++) this.#multiply(force).dispose();
      await this.#gpu.idle();
      return (performance.now() - start) / count;
    };
    const count = Math.ceil(SAMPLE_MS / (await sample(1)));
    const samples: number[] = [];
    for (let i = 0; i < SAMPLES; i++) samples.push(await sample(count));
    return samples.sort((a, b) => a - b)[Math.floor(SAMPLES / 2)];
  }

  [Symbol.dispose](): void {
    this.#scope.dispose();
  }
}
