// A net of two layers learns to read drawn digits.
import {
  AdamW,
  backward,
  type Engine,
  linear,
  logSoftmax,
  mul,
  noGrad,
  ParameterStore,
  Random,
  sum,
  type Tensor,
} from 'ps3-webgpu/engine';
import { accuracy, drawDigits, oneHot, SIDE_PX } from './digit_images.ts';

const PIXELS = SIDE_PX * SIDE_PX;
const HIDDEN = 64;
const BATCH = 64;

/** Trains for a few seconds; the share of 500 digits, not seen before, that it reads. */
export async function readDigits(engine: Engine, steps = 200): Promise<number> {
  const random = new Random(1);
  const weights = new ParameterStore(engine, [
    { name: 'hidden.weight', shape: [HIDDEN, PIXELS] },
    { name: 'hidden.bias', shape: [HIDDEN] },
    { name: 'out.weight', shape: [10, HIDDEN] },
    { name: 'out.bias', shape: [10] },
  ]);
  for (const name of ['hidden.weight', 'out.weight']) {
    const weight = weights.get(name);
    const deviation = Math.sqrt(2 / weight.shape[1]);
    weight.write(Float32Array.from({ length: weight.size }, () => deviation * random.normal()));
  }

  /** pixels [B, PIXELS] to logits [B, 10]. */
  const net = (pixels: Tensor): Tensor => {
    const hidden = linear(pixels, weights.get('hidden.weight'), {
      bias: weights.get('hidden.bias'),
      gelu: 'erf',
    });
    return linear(hidden, weights.get('out.weight'), { bias: weights.get('out.bias') });
  };

  const optimizer = new AdamW(weights, { lr: 3e-3 });
  using scope = engine.scope();
  const inputs = engine.empty([BATCH, PIXELS], { scope });
  const classes = engine.empty([BATCH, 10], { scope });
  const train = (inputs: Tensor, classes: Tensor): undefined => {
    backward(mul(sum(mul(logSoftmax(net(inputs)), classes)), -1 / BATCH)); // cross-entropy
    optimizer.step();
  };
  using captured = engine.capture(train, inputs, classes); // recorded once
  for (let step = 0; step < steps; step++) {
    const { pixels, digits } = drawDigits(BATCH, random);
    inputs.write(pixels);
    classes.write(oneHot(digits));
    captured.replay();
  }

  const { pixels, digits } = drawDigits(500, random);
  const logits = noGrad(() => net(engine.tensor(pixels, [500, PIXELS], { scope })));
  const share = accuracy(await logits.data(), digits);
  optimizer.dispose();
  weights.dispose();
  return share;
}
