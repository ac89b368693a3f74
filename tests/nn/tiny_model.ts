// A transformer block of 656 parameters with a regression loss, large enough to run most kernels of training.

import {
  AdamW,
  add,
  attention,
  backward,
  checkpoint,
  type Engine,
  gelu,
  layerNorm,
  linear,
  mean,
  ParameterStore,
  type Scope,
  square,
  sub,
  type Tensor,
  unpackHeads,
} from '../../engine/index.ts';
import { size } from '../../engine/tensor/shape.ts';
import { random } from '../harness.ts';

export const BATCH = 3;
export const TOKENS = 5;
export const WIDTH = 8;
const HIDDEN = 24;

const SPECS = [
  { name: 'position', shape: [TOKENS, WIDTH], group: 1 },
  { name: 'norm.gamma', shape: [WIDTH], group: 1 },
  { name: 'norm.beta', shape: [WIDTH], group: 1 },
  { name: 'qkv', shape: [3 * WIDTH, WIDTH], group: 0 },
  { name: 'up', shape: [HIDDEN, WIDTH], group: 0 },
  { name: 'up.bias', shape: [HIDDEN], group: 1 },
  { name: 'down', shape: [WIDTH, HIDDEN], group: 0 },
];

export class TinyModel {
  readonly store: ParameterStore;
  readonly optimizer: AdamW;
  readonly #engine: Engine;
  readonly #checkpointed: boolean;

  constructor(engine: Engine, { checkpointed = false }: { checkpointed?: boolean } = {}) {
    this.#engine = engine;
    this.#checkpointed = checkpointed;
    this.store = new ParameterStore(engine, SPECS);
    for (const [i, { name, shape }] of SPECS.entries())
      this.store.get(name).write(Float32Array.from(random(size(shape), 20 + i), (x) => 0.5 * x));
    this.store.enableGradients();
    this.optimizer = new AdamW(this.store, { lr: 0.01, maxNorm: 1, weightDecay: [0.05, 0] });
  }

  /** @param x  [B, TOKENS, WIDTH] @returns the same shape */
  forward(x: Tensor): Tensor {
    const get = (name: string): Tensor => this.store.get(name);
    const block = (x: Tensor): Tensor => {
      const normed = layerNorm(x, get('norm.gamma'), get('norm.beta'));
      const heads = unpackHeads(linear(normed, get('qkv')), { parts: 3, heads: 2 });
      const mixed = add(x, attention(...heads).reshape(x.shape));
      return add(mixed, linear(gelu(linear(mixed, get('up'), { bias: get('up.bias') })), get('down')));
    };
    const embedded = add(x, get('position'));
    return this.#checkpointed ? checkpoint(block, embedded) : block(embedded);
  }

  /** Runs backward for batch `seed` and returns the loss [], in `scope`. */
  gradients(seed: number, scope: Scope): Tensor {
    const numbers = (stream: number): Tensor =>
      this.#engine.tensor(
        Float32Array.from(random(BATCH * TOKENS * WIDTH, 2 * seed + stream)),
        [BATCH, TOKENS, WIDTH],
        { scope },
      );
    const loss = mean(square(sub(this.forward(numbers(0)), numbers(1))));
    backward(loss);
    return loss;
  }

  /** One step of training; returns the loss [], in `scope`. */
  step(seed: number, scope: Scope): Tensor {
    const loss = this.gradients(seed, scope);
    this.optimizer.step();
    return loss;
  }

  /** Gradients by name. */
  async readGradients(): Promise<Map<string, ArrayLike<number>>> {
    const read = new Map<string, ArrayLike<number>>();
    for (const { name } of SPECS) read.set(name, await this.store.get(name).grad!.data());
    return read;
  }

  async readParameters(): Promise<Map<string, ArrayLike<number>>> {
    const read = new Map<string, ArrayLike<number>>();
    for (const { name } of SPECS) read.set(name, await this.store.get(name).data());
    return read;
  }

  dispose(): void {
    this.optimizer.dispose();
    this.store.dispose();
  }
}
