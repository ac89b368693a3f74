// A decoder of the sizes of Qwen2.5-0.5B with random weights goes on with a text, in Chromium too:
// node tests/run.mjs --full --on chromium language/qwen_sized
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cast, noGrad, randomNormal, slice, type Tensor } from '../../engine/index.ts';
import { languageConfig } from '../../ps3/language/config.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import { engine } from '../harness.ts';

const config = languageConfig({
  vocabSize: 151936,
  width: 896,
  layers: 24,
  heads: 14,
  kvHeads: 2,
  mlpHidden: 4864,
  ropeTheta: 1e6,
  contextLength: 32768,
});

/** Elements that are drawn at a time: an f32 tensor of 64 MiB. */
const PIECE = 2 ** 24;

/** Draws a parameter on the GPU: norms 1, all else N(0, 0.02²). */
function drawInto(parameter: Tensor, name: string, stream: number): void {
  for (let start = 0; start < parameter.size; start += PIECE) {
    using scope = engine.scope();
    const length = Math.min(PIECE, parameter.size - start);
    const part = parameter.view(start, [length]).moveTo(scope);
    const isNorm = name.endsWith('norm.weight');
    const drawn = randomNormal(engine, [length], {
      ...{ seed: 1, stream: 1000 * stream + start / PIECE },
      ...(isNorm ? { mean: 1, std: 0 } : { std: 0.02 }),
    }).moveTo(scope);
    part.write(part.dtype === 'f32' ? drawn : cast(drawn, part.dtype as 'bf16'));
  }
}

/** A row of a table in half precision. */
async function rowOf(table: Tensor, row: number): Promise<Float64Array> {
  const C = table.shape[1];
  using view = table.view(row * C, [C]);
  using wide = cast(view, 'f32');
  return Float64Array.from(await wide.data());
}

test('LanguageModel: 494 million parameters in bf16 go on with a text, and logits are products with the embedding', async () => {
  const dtypeOf = (_: string, shape: readonly number[]) => (shape.length === 2 ? 'bf16' : 'f32');
  using model = LanguageModel.allocate(engine, config, { dtypeOf });
  assert.is(model.parameters.elementCount, 494_032_768);
  for (const [i, name] of model.parameters.names.entries()) drawInto(model.parameters.get(name), name, i);
  const prompt = [9707, 1879, 0];
  const [{ ids }] = await model.generateAll([prompt], { maxTokens: 1 });
  const [id] = ids;

  using scope = engine.scope();
  const h = noGrad(() =>
    model.decode(model.embed(engine.tensor(Uint32Array.from(prompt), [1, prompt.length], { scope }))),
  );
  const state = await slice(h, { axis: 1, start: prompt.length - 1, length: 1 }).data();
  const logitOf = async (token: number): Promise<number> =>
    (await rowOf(model.head, token)).reduce((sum, x, c) => sum + x * state[c], 0);
  const best = await logitOf(id);
  const V = config.vocabSize;
  for (const other of [0, 1, 17, 149_999, V - 1, (id + 1) % V, prompt[0], prompt[1], prompt[2]])
    if (other !== id) assert.ok((await logitOf(other)) < best, `${other} is more probable than ${id}`);
  assert.ok(best > 1.5, `the largest of ${V} logits with a deviation of 0.6 is ${best}`);
});

test.run();
