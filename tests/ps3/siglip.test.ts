// Models that begin with SigLIP's towers. The oracle is tests/fixtures/siglip/siglip.py: weights, and what the published
// forward passes and PyTorch's own resampling make of them.
import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noGrad, openSafetensors } from '../../engine/index.ts';
import { planParameters } from '../../ps3/model/checkpoint/init.ts';
import { isSiglip } from '../../ps3/model/checkpoint/siglip.ts';
import type { LookSizes } from '../../ps3/model/config/look_sizes.ts';
import { isTower, partOf } from '../../ps3/model/parts.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';

const fixtures = new URL('../fixtures/', import.meta.url).pathname;
const root = await mkdtemp(join(tmpdir(), 'ps3-siglip-'));
test.after(() => rm(root, { recursive: true }));

/** Checkpoint folders with their vocabularies. */
const VOCABULARIES = {
  open_clip: ['unigram.model', 'spiece.model'],
  transformers: ['bpe.model', 'tokenizer.model'],
};
const NAMINGS = ['open_clip', 'transformers'] as const;
for (const naming of NAMINGS) {
  await cp(`${fixtures}siglip/${naming}`, join(root, naming), { recursive: true });
  const [from, to] = VOCABULARIES[naming];
  await copyFile(`${fixtures}ps3/${from}`, join(root, naming, to));
}
const gemma = { tokenizer_class: 'GemmaTokenizer', eos_token: '<eos>', pad_token: '<pad>' };
await writeFile(join(root, 'transformers', 'tokenizer_config.json'), JSON.stringify(gemma));

const look = (patchPx: number, lowPx: number): LookSizes => ({
  scalesPx: [lowPx, 2 * lowPx],
  patchPx,
  selectionLayers: null,
  maxSelect: 8,
  auxWidth: 8,
  auxKernelPx: 14,
  auxImagePx: null,
  lowResCache: true,
  scalePositions: true,
  auxEncoder: true,
});

const CASES = { same: look(16, 64), resampled: look(14, 70) } as const;

const start = (naming: string, looks: LookSizes = CASES.same): Promise<PS3> =>
  PS3.start(engine, join(root, naming), { look: looks, seed: 3, layerScale: 0.1, positionResidualStd: 0.02 });

const refusal = (work: Promise<PS3>): Promise<string> =>
  work.then(
    () => 'nothing was refused',
    (error: Error) => error.message,
  );

const expected = await openSafetensors(`${fixtures}siglip/expected.safetensors`);
test.after(() => expected.close());
const wanted = (name: string): Promise<Float32Array> => expected.f32(name);

for (const naming of NAMINGS)
  for (const [name, looks] of Object.entries(CASES))
    test(`siglip: ${naming}, ${name}: pooled image features and text features are the published towers'`, async () => {
      using model = await start(naming, looks);
      using scope = engine.scope();
      const side = looks.scalesPx[0];
      const at = `${naming}/${name}/`;
      const image = engine.tensor(await wanted(`${at}image`), [2, 3, side, side], { scope });
      const ids = engine.tensor(new Int32Array(await wanted(`${naming}/ids`)), [2, 8], { scope });
      const [pooled, text] = noGrad(() => [
        model.vision.pool(model.vision.lowRes(image).hidden[0]),
        model.encodeText(ids).pooled,
      ]);
      compare('pooled', await pooled.data(), await wanted(`${at}pooled`));
      compare('text', await text.data(), await wanted(`${naming}/text`));
    });

for (const naming of NAMINGS)
  test(`siglip: ${naming}: tables of another size are those of PyTorch's resize and pseudo-inverse`, async () => {
    using model = await start(naming, CASES.resampled);
    const trunk = 'vision_model.trunk.';
    const at = `${naming}/resampled/`;
    compare(
      'positions',
      await model.parameters.get(`${trunk}pos_embed`).data(),
      await wanted(`${at}pos_embed`),
    );
    compare(
      'kernel',
      await model.parameters.get(`${trunk}patch_embed.proj.weight`).data(),
      await wanted(`${at}kernel`),
    );
  });

test('siglip: the logits are the checkpoint’s, and new parameters those of a new model of that seed', async () => {
  using model = await start('open_clip');
  compare('scale', await model.logitScale.data(), [4.5], TOLERANCE.exact);
  compare('bias', await model.logitBias.data(), [-12.5], TOLERANCE.exact);
  using made = PS3.create(engine, model.config, 3, { layerScale: 0.1, positionResidualStd: 0.02 });
  let compared = 0;
  for (const name of planParameters(model.config).keys()) {
    if (isTower(partOf(name))) continue;
    compare(
      name,
      await model.parameters.get(name).data(),
      await made.parameters.get(name).data(),
      TOLERANCE.exact,
    );
    compared++;
  }
  assert.ok(compared > 20, `${compared}`);
});

test('siglip: each checkpoint brings its way of reading texts: punctuation counts for SigLIP 2 alone', async () => {
  using plain = await start('open_clip');
  using gemma = await start('transformers');
  const same = (model: PS3, a: string, b: string): boolean =>
    String(model.tokenizer.encode([a])) === String(model.tokenizer.encode([b]));
  assert.equal([plain.tokenizer.clean, gemma.tokenizer.clean], ['canonicalize', 'lower']);
  assert.ok(same(plain, 'A red, CAT!', 'a red cat') && !same(gemma, 'a cat!', 'a cat'));
  assert.ok(same(gemma, 'A  CAT!', 'a cat!'));
  assert.equal([plain.tokenizer.eosId, plain.tokenizer.padId], [1, 1]);
  assert.equal([gemma.tokenizer.eosId, gemma.tokenizer.padId], [1, 0]);
});

test('siglip: what was begun with is written and read like any PS3, activation and cleaning included', async () => {
  const folder = join(root, 'written');
  using model = await start('transformers');
  await model.save(folder);
  using again = await PS3.load(engine, folder);
  assert.equal(
    [again.config.vision.gelu, again.config.text.gelu, again.tokenizer.clean],
    ['tanh', 'tanh', 'lower'],
  );
  assert.is(again.config.vision.mlpHidden, 88);
  for (const name of model.parameters.names)
    compare(
      name,
      await again.parameters.get(name).data(),
      await model.parameters.get(name).data(),
      TOLERANCE.exact,
    );
  assert.ok(await isSiglip(join(root, 'transformers')));
  assert.ok(await isSiglip(join(root, 'open_clip')));
  assert.not.ok(await isSiglip(folder));
});

test('siglip: what does not fit is refused in one sentence', async () => {
  const copy = async (name: string, change: (config: Record<string, never>) => object): Promise<string> => {
    await cp(join(root, 'transformers'), join(root, name), { recursive: true });
    const path = join(root, name, 'config.json');
    await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')))));
    return refusal(start(name));
  };
  const vision = (config: Record<string, never>, changes: object): object => ({
    ...config,
    vision_config: { ...(config.vision_config as object), ...changes },
  });
  assert.match(
    await copy('naflex', (config) => vision(config, { num_patches: 256 })),
    /^config: config\.json\.vision_config\.num_patches must be absent: images of any shape \(NaFlex\)/,
  );
  assert.match(
    await copy('deeper', (config) => vision(config, { num_hidden_layers: 3 })),
    /^PS3\.start: the weights of .* got missing vision_model\.encoder\.layers\.2\.layer_norm1\.weight; /,
  );
  assert.match(
    await copy('patches', (config) => vision(config, { image_size: 80 })),
    /got vision_model\.embeddings\.position_embedding\.weight \[16,24\], not \[25,24\]\.$/,
  );
  assert.match(
    await copy('words', (config) => ({
      ...config,
      text_config: { ...(config.text_config as object), vocab_size: 700 },
    })),
    /token_embedding\.weight \[800,24\], not \[700,24\]/,
  );
  assert.match(
    await refusal(start('open_clip', look(14, 64))),
    /must begin with a multiple of the patch size 14/,
  );
});

test.run();
