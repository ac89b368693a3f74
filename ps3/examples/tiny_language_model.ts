// A language model of two blocks learns a rhyme by heart, a token for each character, and says it.
import { LanguageModel, trainTokenizer } from 'ps3-webgpu';
import { AdamW, backward, type Engine } from 'ps3-webgpu/engine';

const RHYME = 'the cat sat on the mat. the dog sat on the log. the frog sat on a clog. ';

/** Trains for a few seconds; what the model says after "the cat". */
export async function sayRhyme(engine: Engine, steps = 100): Promise<string> {
  const tokenizer = trainTokenizer([RHYME]); // without merges: bytes
  using model = LanguageModel.create(engine, { width: 64, layers: 2, heads: 4 }, 1, { tokenizer });
  using optimizer = new AdamW(model.parameters, { lr: 3e-3 });
  using ids = engine.tensor(Int32Array.from(tokenizer.encode(RHYME)), [1, RHYME.length]);
  using step = engine.capture((ids) => {
    const loss = model.loss(ids);
    backward(loss);
    optimizer.step();
    return loss;
  }, ids);
  for (let i = 0; i < steps; i++) step.replay();
  let said = '';
  for await (const { text } of model.generate('the cat', { maxTokens: 41 })) said += text;
  return said;
}
