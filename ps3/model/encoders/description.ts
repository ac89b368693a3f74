// Another encoder by a JSON file that says where its features or its models are.
import * as v from 'valibot';
import { type Engine, fileSystem, onPath, readTextFile } from '../../../engine/index.ts';
import { fieldFault } from '../config/schema.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import type { OtherEncoder } from './encoder.ts';
import { EncoderError } from './errors.ts';
import { openOnnx } from './onnx.ts';
import { openStored } from './stored.ts';

const text = v.pipe(v.string(), v.minLength(1));
const colour = v.tuple([v.number(), v.number(), v.number()]);
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));

const STORED = { name: text, features: text };
const ONNX = {
  name: text,
  image: text,
  text,
  tokenizer: text,
  sidePx: positive,
  contextLength: positive,
  mean: v.optional(colour, [0.5, 0.5, 0.5]),
  std: v.optional(colour, [0.5, 0.5, 0.5]),
  imageOutput: v.optional(text),
  textOutput: v.optional(text),
};

/** The checked object. @throws EncoderError with the key and the reason */
function checked<E extends v.ObjectEntries>(entries: E, json: unknown, path: string) {
  const result = v.safeParse(v.strictObject(entries), json);
  if (result.success) return result.output;
  const fault = fieldFault(result.issues[0], Object.keys(entries));
  throw new EncoderError(
    `encoder: ${path}: ${fault}. Give name and features, or name, image, text, tokenizer, sidePx and contextLength.`,
  );
}

/**
 * Opens the encoder that a JSON file describes: `{ "name", "features" }`, a safetensors file, or `{ "name", "image", "text",
 * "tokenizer", "sidePx", "contextLength", "mean", "std", "imageOutput", "textOutput" }`, ONNX files with a `tokenizer.json` or
 * SentencePiece model whose texts are brought into form as SigLIP's. Paths begin at the file's folder.
 *
 * @throws EncoderError, FileError, TokenizerError
 */
export async function openEncoder(engine: Engine, path: string): Promise<OtherEncoder> {
  const content = await readTextFile(path);
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (cause) {
    throw new EncoderError(`encoder: ${path} must be JSON, got: ${(cause as Error).message}. Correct it.`, {
      cause,
    });
  }
  const folder = path.replace(/[^\\/]*$/, '');
  const beside = (file: string): string => (/^([\\/]|\w:)/.test(file) ? file : `${folder}${file}`);
  if (typeof json === 'object' && json !== null && 'features' in json) {
    const { name, features } = checked(STORED, json, path);
    return openStored(name, beside(features));
  }
  const { name, tokenizer, contextLength, ...files } = checked(ONNX, json, path);
  const { readFile } = await fileSystem();
  const place = beside(tokenizer);
  const vocabulary = place.endsWith('.json')
    ? { tokenizerJson: await readTextFile(place) }
    : { sentencepieceModel: new Uint8Array(await onPath(place, () => readFile(place))) };
  return openOnnx(engine, name, {
    ...files,
    image: beside(files.image),
    text: beside(files.text),
    tokenizer: Tokenizer.fromFiles({ ...vocabulary, contextLength }),
  });
}
