// A language model's tokenizer in a folder of the hub: tokenizer.json, or the vocabulary and merges that older folders have.

import { readJsonIfThere, readText } from '../model/checkpoint/checkpoint.ts';
import type { CheckpointFiles } from '../model/checkpoint/files.ts';
import { TokenizerError } from '../model/text/tokenizer_error.ts';
import { LanguageTokenizer } from './tokenizer.ts';
import { type AddedToken, byteLevelJson } from './tokenizer_json.ts';

type Json = Record<string, unknown>;

/** The tokenizer of a checkpoint; undefined where it has none. @throws TokenizerError, ConfigError for broken files */
export async function readLanguageTokenizer(files: CheckpointFiles): Promise<LanguageTokenizer | undefined> {
  const [tokenizerConfig, generationConfig] = [
    await jsonOf(files, 'tokenizer_config.json'),
    await jsonOf(files, 'generation_config.json'),
  ];
  const tokenizerJson =
    (await jsonOf(files, 'tokenizer.json')) ?? (await fromMerges(files, tokenizerConfig ?? {}));
  if (!tokenizerJson) return undefined;
  const chatTemplate = await readText(files, 'chat_template.jinja');
  return LanguageTokenizer.fromFiles({ tokenizerJson, tokenizerConfig, generationConfig, chatTemplate });
}

async function jsonOf(files: CheckpointFiles, name: string): Promise<Json | undefined> {
  const json = await readJsonIfThere(files, name);
  if (json === undefined || (typeof json === 'object' && json !== null && !Array.isArray(json)))
    return json as Json | undefined;
  throw new TokenizerError(
    `${files.op}: ${name} of ${files.place} must be an object, got ${JSON.stringify(json)}.`,
  );
}

/** tokenizer.json of vocab.json, merges.txt and the added tokens, which tokenizer_config.json or added_tokens.json name. */
async function fromMerges(files: CheckpointFiles, config: Json): Promise<Json | undefined> {
  const vocab = (await jsonOf(files, 'vocab.json')) as Record<string, number> | undefined;
  const text = await readText(files, 'merges.txt');
  if (!vocab || text === undefined) return undefined;
  const lines = text.split('\n').filter((line, i) => line.trim() && !(i === 0 && line.startsWith('#')));
  const merges = lines.map((line) => line.trimEnd().split(' ') as [string, string]);
  const listed = Object.entries((config.added_tokens_decoder ?? {}) as Record<string, { content: string }>);
  const added = new Map(listed.map(([id, { content }]) => [content, Number(id)]));
  for (const [content, id] of Object.entries((await jsonOf(files, 'added_tokens.json')) ?? {}))
    added.set(content, Number(id));
  const tokens: AddedToken[] = [...added].map(([content, id]) => {
    return { id, content };
  });
  tokens.sort((a, b) => a.id - b.id);
  return byteLevelJson(vocab, merges, tokens);
}
