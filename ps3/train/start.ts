// What training begins with: a PS3, the towers of a SigLIP checkpoint, or random numbers.
import type { Engine, Tensor } from '../../engine/index.ts';
import { CheckpointReader, type FillOptions } from '../model/checkpoint/checkpoint.ts';
import { isSiglip, SiglipReader } from '../model/checkpoint/siglip.ts';
import { expectConfig, type ModelConfig } from '../model/config/config.ts';
import { PS3 } from '../model/ps3.ts';
import { buildWordTokenizer, extendWordTokenizer } from '../model/text/tokenizer.ts';
import type { TrainConfig } from './config.ts';
import { lockOf } from './lock.ts';
import { lookSizes, presetConfig } from './presets.ts';
import { RunFolder } from './run.ts';

/** A row for each token. */
const TOKENS = 'text_model.token_embedding.weight';

/** A published PS3 decides by its files what the method's switches would. */
function expectWholeMethod({ method }: TrainConfig): void {
  const { lowResCache, multiScale, scalePositions, auxEncoder } = method;
  for (const [name, isOn] of Object.entries({ lowResCache, multiScale, scalePositions, auxEncoder }))
    expectConfig(
      isOn,
      `method.${name} must be true where init.from is a PS3: the checkpoint decides it`,
      isOn,
    );
}

/**
 * Loads what `init.from` names.
 *
 * @param from  a folder, also of a run, an address or hf://owner/name: a PS3, or an image-text checkpoint of SigLIP
 * @throws ConfigError for sizes and switches that do not go with it; as `PS3.load` and `PS3.start`
 */
export async function loadStart(
  engine: Engine,
  config: TrainConfig,
  from: string,
  reading: Pick<FillOptions, 'onProgress'> = {},
): Promise<PS3> {
  const place = await RunFolder.checkpointOf(from);
  const { layerScale, positionResidualStd } = config.init;
  const { seed } = config;
  const isLocked = lockOf(config.lock);
  if (await isSiglip(place))
    return PS3.start(engine, place, {
      look: lookSizes(config),
      seed,
      layerScale,
      positionResidualStd,
      isLocked,
      ...reading,
    });
  expectWholeMethod(config);
  return PS3.load(engine, place, { isLocked, ...reading });
}

/** The sizes of what `init.from` names; its weights are not read. @throws as `loadStart` */
export async function startConfig(config: TrainConfig, from: string): Promise<ModelConfig> {
  const place = await RunFolder.checkpointOf(from);
  if (await isSiglip(place)) {
    await using file = await SiglipReader.open(place, lookSizes(config));
    return file.config;
  }
  expectWholeMethod(config);
  await using file = await CheckpointReader.open(place);
  return file.config;
}

/**
 * A model whose tokenizer knows the words of captions too, where it has a vocabulary of words and the text tower is trained; the
 * weights of new words are random, all others stay.
 *
 * @param captions  read only for a vocabulary of words
 * @returns         the model itself where there are no new words; otherwise it is disposed of
 */
export async function withWords(
  engine: Engine,
  model: PS3,
  { seed, lock }: Pick<TrainConfig, 'seed' | 'lock'>,
  captions: () => Promise<readonly string[]>,
): Promise<PS3> {
  const { config, parameters } = model;
  const isLocked = lockOf(lock);
  if (!model.tokenizer.words || isLocked(TOKENS, config)) return model;
  const tokenizer = extendWordTokenizer(model.tokenizer, await captions());
  if (!tokenizer) return model;
  const vocabSize = Math.max(config.text.vocabSize, tokenizer.vocabSize);
  const text = { ...config.text, vocabSize };
  using old = model;
  const more = PS3.create(engine, { ...config, text }, seed, { tokenizer, isLocked });
  for (const name of parameters.names)
    if (name !== TOKENS) more.parameters.get(name).write(parameters.get(name));
  const rows = await (more.parameters.get(TOKENS) as Tensor<'f32'>).data();
  const known = await (parameters.get(TOKENS) as Tensor<'f32'>).data();
  rows.set(known.subarray(0, old.tokenizer.vocabSize * text.width));
  more.parameters.get(TOKENS).write(rows);
  return more;
}

/**
 * A model of random numbers, as `model` and `init` describe it.
 *
 * @param captions  what training can show: their words are the vocabulary
 * @throws ConfigError when `model.vocabSize` is too small for them
 */
export function newModel(engine: Engine, config: TrainConfig, captions: readonly string[]): PS3 {
  const { contextLength, vocabSize } = config.model;
  const tokenizer = buildWordTokenizer([...captions], { contextLength });
  expectConfig(
    vocabSize === null || vocabSize >= tokenizer.vocabSize,
    `model.vocabSize must hold the ${tokenizer.vocabSize} words of the captions`,
    vocabSize,
  );
  const { from: _, logitBias, ...init } = config.init;
  return PS3.create(engine, presetConfig(config, vocabSize ?? tokenizer.vocabSize), config.seed, {
    tokenizer,
    isLocked: lockOf(config.lock),
    ...init,
    // A caption fits about one image in as many as there are concepts.
    logitBias: logitBias ?? -Math.log(config.data.concepts),
  });
}
