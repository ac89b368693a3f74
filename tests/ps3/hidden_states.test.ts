// Each hidden state from the one before it, by the block in float64: low-res tokens among themselves, the tokens of a
// look after the low-res ones. The first low-res and the last state of all tokens are the reference's.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compare, engine } from '../harness.ts';
import { selfAttention } from '../reference/attention.ts';
import { layerNorm } from '../reference/layer_norm.ts';
import { linear } from '../reference/matmul.ts';
import { type Golden, MODEL, openGolden } from './golden.ts';

type Weight = (name: string) => Float64Array;

/** The weights of one block in float64. */
async function blockWeights(golden: Golden, i: number): Promise<Weight> {
  const names = ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'];
  const weights = new Map<string, Float64Array>();
  for (const name of names.flatMap((layer) => [`${layer}.weight`, `${layer}.bias`]))
    weights.set(name, Float64Array.from(await golden.want(`weights.vision_model.trunk.blocks.${i}.${name}`)));
  return (name) => weights.get(name)!;
}

/** x + Attention(LN(x)), then x + MLP(LN(x)), of tokens [T, C] that also attend to those of which `cached` is the qkv. */
function block(x: Float64Array, cached: Float64Array, weight: Weight, heads: number) {
  const C = weight('norm1.weight').length;
  const layer = (name: string, x: Float64Array, residual?: Float64Array, gelu?: 'erf'): Float64Array => {
    const matrix = weight(`${name}.weight`);
    const bias = weight(`${name}.bias`);
    return linear(x, matrix, matrix.length / bias.length, { bias, residual, gelu });
  };
  const norm = (name: string, x: Float64Array): Float64Array =>
    layerNorm(x, weight(`${name}.weight`), weight(`${name}.bias`), 1e-6);
  const qkv = layer('attn.qkv', norm('norm1', x));
  const sizes = { B: 1, T: x.length / C, N: cached.length / (3 * C), C, heads };
  const attended = layer('attn.proj', selfAttention(qkv, cached, sizes), x);
  const hidden = layer('mlp.fc1', norm('norm2', attended), undefined, 'erf');
  return { qkv, y: layer('mlp.fc2', hidden, attended) };
}

for (const name of ['square', 'portrait', 'radio'] as const)
  test(`hidden states: each block takes the state before it to the next, for both kinds of tokens (${name})`, async () => {
    using scope = engine.scope();
    const golden = await openGolden(name);
    const { model } = golden;
    const { depth, heads, width: C } = model.config.vision;
    const image = await golden.input('in.pixel_values', scope);
    const out = await model.encode(image, { looks: 1, hiddenStates: true });
    assert.is(out.hiddenStates.length, depth);
    await golden.check('look1.last_hidden_state', out.hiddenStates[depth - 1]);
    const N = out.grids[0][0] * out.grids[0][1];
    const T = out.lastHiddenState.shape[1];
    const states = await Promise.all(out.hiddenStates.map((state) => state.data()));
    for (let i = 1; i < depth; i++) {
      const weight = await blockWeights(golden, i);
      for (let b = 0; b < 2; b++) {
        const part = (state: ArrayLike<number>, from: number, to: number): Float64Array =>
          Float64Array.from(state).slice((b * T + from) * C, (b * T + to) * C);
        const low = block(part(states[i - 1], 0, N), new Float64Array(0), weight, heads);
        const high = block(part(states[i - 1], N, T), low.qkv, weight, heads);
        compare(`low-res tokens of block ${i}`, part(states[i], 0, N), low.y, MODEL);
        compare(`tokens of the look of block ${i}`, part(states[i], N, T), high.y, MODEL);
      }
    }
    model.dispose();
  });

test.run();
