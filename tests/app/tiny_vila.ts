// The folder of a VILA-HD that answers nothing sensible, for tests of what asks one: the weights of a reference file.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { type Engine, openSafetensors } from '../../engine/index.ts';
import { vilaOf } from '../../ps3/app/verify_vila.ts';
import { LanguageTokenizer } from '../../ps3/language/tokenizer.ts';

const at = (path: string): string => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));

/** Its tokenizer, with the chat template. */
export async function tinyTokenizer(): Promise<LanguageTokenizer> {
  const tiny = JSON.parse(await readFile(at('language/tokenizer-tiny.json'), 'utf8')) as {
    tokenizer_json: Record<string, unknown>;
    chat_template: string;
  };
  return LanguageTokenizer.fromFiles({
    tokenizerJson: tiny.tokenizer_json,
    tokenizerConfig: { chat_template: tiny.chat_template, eos_token: '<|im_end|>', pad_token: '[PAD]' },
  });
}

/** Writes the folder of the model of `vila-hd-tiny`, and beside it an image of 160 x 90 pixels, `photo.png`. */
export async function writeTinyVila(engine: Engine, folder: string): Promise<void> {
  await using file = await openSafetensors(at('vila-hd-tiny.safetensors'));
  using model = await vilaOf(engine, file, { tokenizer: await tinyTokenizer() });
  await model.save(join(folder, 'model'));
  const [width, height] = [160, 90];
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37 + (i % 480) * 3) % 256);
  const png = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  await writeFile(join(folder, 'photo.png'), png);
}
