// `ps3 answer`.
import type { Engine } from '../../../engine/index.ts';
import { total } from '../../model/config/config.ts';
import { decodeImage } from '../../model/image.ts';
import { VilaModel } from '../../vila/vila.ts';
import { drawOverlays, type Numbers } from '../encode_files.ts';
import { type Command, command, oneOf, text, UsageError, type Values, whole } from '../flags.ts';
import { withEngine } from './engine.ts';
import { writeTokens } from './stream.ts';

const ANSWER = {
  model: text(
    '<place>',
    'The model: a folder with llm/, vision_tower/ and mm_projector/, an http(s) address or hf://owner/name',
  ),
  storage: oneOf(
    ['f32', 'f16', 'bf16', 'stored'],
    'How matrices are kept: f32, f16, bf16 or stored; default stored',
  ),
  looks: whole('Looks of a full budget, 0 for low resolution alone; default: as the model has it', 0),
  tokens: whole('Patches in total, instead of --looks', 0),
  'max-tokens': whole('New tokens at most; default 512'),
  out: text('<dir>', 'Draw where it looked into this folder'),
};

type AnswerValues = Values<typeof ANSWER>;

/** Writes the answer as it comes, behind a line about what was looked at. */
async function answer(
  engine: Engine,
  values: AnswerValues,
  [path, question]: readonly string[],
): Promise<number> {
  const { model: place, storage = 'stored', looks, tokens, out } = values;
  const decoded = await decodeImage(path);
  using model = await VilaModel.load(engine, place!, { storage });
  const started = performance.now();
  using seen = model.see(decoded);
  using look = await model.lookFor(question, seen, { looks, tokens });
  const { vision } = look;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(
    `${path}: ${look.blocks[0].shape[1]} tokens, ${vision ? `of ${total(vision.selectionCounts)} patches looked at, ` : ''}in ${seconds} s`,
  );
  if (out && vision) {
    const { selectionMaps, maps } = vision;
    const grids = model.vision.grids(seen.image).slice(1);
    const read = (name: string, list: typeof selectionMaps): Promise<Numbers[]> =>
      Promise.all(
        list.map(async (map, i) => ({ name: `${name}.${i}`, shape: grids[i], data: await map.data() })),
      );
    await drawOverlays(`${out}/look`, decoded, {
      kind: maps.topDown ? 'top_down' : 'bottom_up',
      probs: await read('probs', maps.probs),
      bottomUp: await read('bottom_up', maps.bottomUp),
      selected: await read('selected', selectionMaps),
      scalesPx: model.vision.config.scalesPx,
    });
  }
  return writeTokens(model.answer(question, look, { maxTokens: values['max-tokens'] }));
}

/** Answers a question about an image with a VILA-HD. */
export const answerCommand: Command = command({
  name: 'answer',
  operands: '<image> <question>',
  help: 'Answer a question about an image with a VILA-HD, which looks where its language model asks',
  flags: ANSWER,
  run: async (values, operands) => {
    if (values.model === undefined) throw new UsageError('answer: --model must name the model, got none.');
    if (values.looks !== undefined && values.tokens !== undefined)
      throw new UsageError('answer: --looks and --tokens exclude each other, got both. Leave one out.');
    return withEngine((engine) => answer(engine, values, operands));
  },
});
