// `ps3 generate`: what it streams is what the model says, with its template and as it is.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CHAT_TEMPLATE } from '../../ps3/language/chat.ts';
import type { GenerateOptions, Prompt } from '../../ps3/language/generate.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import { LanguageTokenizer } from '../../ps3/language/tokenizer.ts';
import { trainTokenizer } from '../../ps3/language/train_tokenizer.ts';
import { engine } from '../harness.ts';
import { ps3 } from './run_cli.ts';

const folder = await mkdtemp(join(tmpdir(), 'ps3-generate-'));
test.after(() => rm(folder, { recursive: true }));

const files = trainTokenizer(['']).toJSON();
const tokenizer = LanguageTokenizer.fromFiles({
  tokenizerJson: files['tokenizer.json'],
  tokenizerConfig: { ...files['tokenizer_config.json'], chat_template: CHAT_TEMPLATE },
});
const model = LanguageModel.create(engine, { width: 16, layers: 1, heads: 2 }, 3, { tokenizer });
await model.save(folder);

const bin = fileURLToPath(new URL('../../ps3/app/bin.mjs', import.meta.url));
const stdoutOfModel = async (place: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [bin, 'generate', '--model', place, ...args])).stdout;
const stdoutOf = (...args: string[]): Promise<string> => stdoutOfModel(folder, ...args);

/** What the model says, token by token. */
async function said(prompt: Prompt, options: GenerateOptions): Promise<string> {
  let text = '';
  for await (const token of model.generate(prompt, options)) text += token.text;
  return text;
}

test('ps3 generate: answers through the template, as the model does', async () => {
  const messages = [
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'Why?' },
  ];
  const drawn = { maxTokens: 12, temperature: 1.5, topK: 200, seed: 4 };
  const flags = '--max-tokens 12 --temperature 1.5 --top-k 200 --seed 4 --storage f32'.split(' ');
  assert.is(await stdoutOf(...flags, '--system', 'Be short.', 'Why?'), `${await said(messages, drawn)}\n`);
});

test('ps3 generate: goes on with a text as it is', async () => {
  const text = await said('Why?', { maxTokens: 6 });
  assert.is(await stdoutOf('--raw', '--max-tokens', '6', 'Why?'), `${text}\n`);
});

test('ps3 generate: a model that was quantised and saved says what it said', async () => {
  const [given, saved] = [join(folder, 'given'), join(folder, 'saved')];
  using wide = LanguageModel.create(engine, { width: 32, layers: 1, heads: 2, mlpHidden: 64 }, 3, {
    tokenizer,
  });
  await wide.save(given);
  const asked = ['--raw', '--max-tokens', '6', 'Why?'];
  const first = await stdoutOfModel(given, '--storage', 'int4', '--save', saved, ...asked);
  assert.is(await stdoutOfModel(saved, ...asked), first);
  using again = await LanguageModel.load(engine, saved);
  const [{ text }] = await again.generateAll(['Why?'], { maxTokens: 6 });
  assert.is(first, `${text}\n`);
});

test('ps3 generate: a mistake is one sentence and exit code 2', async () => {
  const exclude = await ps3('generate', '--model', folder, '--raw', '--system', 'a', 'Why?');
  assert.equal([exclude.code, exclude.out], [2, '']);
  assert.match(exclude.err, /^ps3: generate: --system and --raw exclude each other/);
  const long = await ps3('generate', '--model', folder, '--raw', 'Why? '.repeat(300));
  assert.is(long.code, 2);
  assert.match(
    long.err,
    /^ps3: LanguageModel.generate: a text must have at most the 1024 tokens .*, got 1501/,
  );
});

test.run();
