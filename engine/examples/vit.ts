// A small vision transformer learns to read drawn digits, patch by patch.
import {
  AdamW,
  add,
  attention,
  backward,
  type Engine,
  layerNormLayer,
  linearLayer,
  logSoftmax,
  mean,
  mul,
  noGrad,
  ParameterStore,
  patchify,
  Random,
  sum,
  type Tensor,
  unpackHeads,
  Weights,
  warmupCosine,
} from 'ps3-webgpu/engine';
import { accuracy, type DigitImages, drawDigits, oneHot, SIDE_PX } from './digit_images.ts';

const PATCH_PX = 4;
const [T, P] = [(SIDE_PX / PATCH_PX) ** 2, 3 * PATCH_PX ** 2]; // tokens, numbers per patch
const [D, H, F, DEPTH] = [32, 2, 64, 2]; // width, heads, mlp hidden, blocks
const BATCH = 32;

/** Named as in PyTorch; matrices from a normal distribution, norms at 1, biases at 0. */
function makeWeights(engine: Engine, random: Random): ParameterStore {
  const linear = (name: string, from: number, to: number) => [
    { name: `${name}.weight`, shape: [to, from] },
    { name: `${name}.bias`, shape: [to] },
  ];
  const norm = (name: string) => [
    { name: `${name}.weight`, shape: [D] },
    { name: `${name}.bias`, shape: [D] },
  ];
  const block = (name: string) => [
    ...norm(`${name}.norm1`),
    ...linear(`${name}.qkv`, D, 3 * D),
    ...linear(`${name}.proj`, D, D),
    ...norm(`${name}.norm2`),
    ...linear(`${name}.fc1`, D, F),
    ...linear(`${name}.fc2`, F, D),
  ];
  const specs = [
    ...linear('embed', P, D),
    { name: 'positions', shape: [T, D] },
    ...Array.from({ length: DEPTH }, (_, i) => block(`blocks.${i}`)).flat(),
    ...norm('norm'),
    ...linear('head', D, 10),
  ];
  const store = new ParameterStore(engine, specs);
  for (const { name, shape } of specs) {
    const weight = store.get(name);
    if (shape.length === 2) {
      const deviation = Math.sqrt(1 / shape[1]);
      weight.write(Float32Array.from({ length: weight.size }, () => deviation * random.normal()));
    } else if (name.endsWith('.weight')) weight.write(new Float32Array(weight.size).fill(1));
  }
  return store;
}

/** images u8 [B, SIDE_PX, SIDE_PX, 4] to logits [B, 10]. */
function classify(weights: Weights, images: Tensor): Tensor {
  let x = add(linearLayer(patchify(images, PATCH_PX), weights.in('embed')), weights.get('positions')); // [B, T, D]
  for (let i = 0; i < DEPTH; i++) {
    const block = weights.in(`blocks.${i}`);
    const qkv = linearLayer(layerNormLayer(x, block.in('norm1'), { eps: 1e-6 }), block.in('qkv'));
    const attended = attention(...unpackHeads(qkv, { parts: 3, heads: H })).reshape(x.shape);
    x = linearLayer(attended, block.in('proj'), { residual: x });
    const hidden = linearLayer(layerNormLayer(x, block.in('norm2'), { eps: 1e-6 }), block.in('fc1'), {
      gelu: 'tanh',
    });
    x = linearLayer(hidden, block.in('fc2'), { residual: x });
  }
  return linearLayer(
    mean(layerNormLayer(x, weights.in('norm'), { eps: 1e-6 }), { axis: 1 }),
    weights.in('head'),
  );
}

/** Grey as RGBA: [B, SIDE_PX, SIDE_PX, 4]. */
function rgba({ pixels }: DigitImages): Uint8Array {
  return Uint8Array.from({ length: 4 * pixels.length }, (_, i) => Math.round(255 * pixels[i >> 2]));
}

/** Trains for some seconds; the share of 500 digits, not seen before, that it reads. */
export async function readDigitsByPatches(engine: Engine, steps = 200): Promise<number> {
  const random = new Random(2);
  const store = makeWeights(engine, random);
  const weights = new Weights(store);
  const optimizer = new AdamW(store, { maxNorm: 1 });
  using scope = engine.scope();
  const inputs = engine.empty([BATCH, SIDE_PX, SIDE_PX, 4], { dtype: 'u8', scope });
  const classes = engine.empty([BATCH, 10], { scope });
  const train = (inputs: Tensor, classes: Tensor): undefined => {
    backward(mul(sum(mul(logSoftmax(classify(weights, inputs)), classes)), -1 / BATCH)); // cross-entropy
    optimizer.step();
  };
  using captured = engine.capture(train, inputs, classes); // recorded once
  for (let step = 0; step < steps; step++) {
    const batch = drawDigits(BATCH, random);
    inputs.write(rgba(batch));
    classes.write(oneHot(batch.digits));
    optimizer.set({ lr: warmupCosine(step, { steps, warmup: 20, peak: 5e-3 }) });
    captured.replay();
  }

  const held = drawDigits(500, random);
  const images = engine.tensor(rgba(held), [500, SIDE_PX, SIDE_PX, 4], { scope });
  const share = accuracy(await noGrad(() => classify(weights, images)).data(), held.digits);
  optimizer.dispose();
  store.dispose();
  return share;
}
