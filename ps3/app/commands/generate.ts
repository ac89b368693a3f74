// `ps3 generate`.
import type { Engine } from '../../../engine/index.ts';
import type { ChatMessage } from '../../language/chat.ts';
import type { GenerateOptions, Prompt } from '../../language/generate.ts';
import { LanguageModel } from '../../language/language_model.ts';
import { type Command, command, number, on, oneOf, text, UsageError, type Values, whole } from '../flags.ts';
import { withEngine } from './engine.ts';
import { writeTokens } from './stream.ts';

const GENERATE = {
  model: text('<place>', "The model: a folder of the hub's layout, an http(s) address or hf://owner/name"),
  storage: oneOf(
    ['f32', 'f16', 'bf16', 'stored', 'int8', 'int4'],
    'How matrices are kept: f32, f16, bf16, as they are stored, or quantised to int8 or int4; default stored',
  ),
  save: text(
    '<folder>',
    'Write the model there first, as it is kept: what was quantised is not quantised again',
  ),
  system: text('<text>', "What the conversation begins with, instead of the template's own"),
  raw: on('Go on with the text as it is, instead of answering it'),
  'max-tokens': whole('New tokens at most; default 512'),
  temperature: number('0, the default, takes the most probable token; higher ones draw', 0),
  'top-k': whole('Draw from so many of the most probable tokens'),
  'top-p': number('Draw from the fewest tokens whose probabilities reach this sum', 0, 1),
  'repetition-penalty': number('Above 1, what was there already is less probable', 1e-3),
  seed: whole('Decides what is drawn; default 0', 0),
};

/** The prompt as the model is meant to read it. @throws UsageError for --system with --raw */
function promptOf(model: LanguageModel, given: string, { system, raw }: Values<typeof GENERATE>): Prompt {
  if (raw && system !== undefined)
    throw new UsageError('generate: --system and --raw exclude each other, got both. Leave one out.');
  if (raw || (!model.tokenizer.hasChatTemplate && system === undefined)) return given;
  const messages: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
  return [...messages, { role: 'user', content: given }];
}

/** Writes the answer as it comes. */
async function answer(engine: Engine, values: Values<typeof GENERATE>, given: string): Promise<number> {
  const { storage = 'stored', model: place, temperature, seed } = values;
  using model = await LanguageModel.load(engine, place!, { storage });
  if (values.save !== undefined) await model.save(values.save);
  const options: GenerateOptions = {
    maxTokens: values['max-tokens'],
    topK: values['top-k'],
    topP: values['top-p'],
    repetitionPenalty: values['repetition-penalty'],
    temperature,
    seed,
  };
  return await writeTokens(model.generate(promptOf(model, given, values), options));
}

/** Answers a prompt with a language model. */
export const generateCommand: Command = command({
  name: 'generate',
  operands: '<prompt>',
  help: 'Answer a prompt with a language model, token by token',
  flags: GENERATE,
  run: async (values, [prompt]) => {
    if (values.model === undefined) throw new UsageError('generate: --model must name the model, got none.');
    return withEngine((engine) => answer(engine, values, prompt));
  },
});
