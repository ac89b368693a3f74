// PS3 in a page: an image is decoded, a small model looks at it, and a path is refused.
import { buildWordTokenizer, decodeImage, PRESETS, PS3, presetConfig, resizeToSquare } from 'ps3-webgpu';
import { Engine } from 'ps3-webgpu/engine';

const RED = 'data:image/gif;base64,R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs=';

async function main() {
  const engine = await Engine.create();
  const image = await decodeImage(RED);
  const tokenizer = buildWordTokenizer(['ring'], { contextLength: 8 });
  const config = presetConfig(PRESETS.smoke, tokenizer.vocabSize);
  const model = PS3.create(engine, config, 1, { tokenizer });
  const seen = await model.encode(resizeToSquare(engine, image, config.image.imagePx), { prompt: 'ring' });
  const tokens = await seen.lastHiddenState.data();
  const refused = await PS3.load(engine, 'a/folder').catch(({ message }) => message);
  const finite = tokens.length > 0 && tokens.every(Number.isFinite);
  document.body.textContent = JSON.stringify({ rgba: [...image.rgba], finite, refused });
}

main().catch((error) => {
  document.body.textContent = String(error);
});
