// Questions about images as conversations, and their answers token by token.
import type { Tensor } from '../../engine/index.ts';
import type { ChatMessage } from '../language/chat.ts';
import type { LanguageCore } from '../language/core.ts';
import { type GeneratedToken, type GenerateOptions, goOn, streamed } from '../language/generate.ts';
import type { LanguageTokenizer } from '../language/tokenizer.ts';
import { behind, prefixOf } from './prefix.ts';
import type { VilaTokens } from './sequence.ts';
import type { VilaLook } from './vila_types.ts';

/** A question, or a conversation whose next turn is the answer. `<image>` says where an image stands; else all stand before. */
export type Question = string | readonly ChatMessage[];

/** Stands for an image in what is asked. */
const IMAGE = '<image>';

/**
 * The tokens of a question about so many images, up to its answer.
 *
 * As in training, every image has a line of its own, and blanks around what is said are dropped.
 */
export function questionIds(tokenizer: LanguageTokenizer, question: Question, images: number): number[] {
  const given: readonly ChatMessage[] =
    typeof question === 'string' ? [{ role: 'user', content: question }] : question;
  const named = given.some(({ content }) => content.includes(IMAGE));
  const first = given.findIndex(({ role }) => role === 'user');
  const messages = given.map(({ role, content }, i): ChatMessage => {
    const before = !named && i === first ? `${IMAGE}\n`.repeat(images) : '';
    return { role, content: `${before}${content.trim()}` };
  });
  return tokenizer.encode(tokenizer.renderChat(messages, { generationPrompt: true }));
}

/** What reads a question and answers it. */
interface Reader {
  readonly language: LanguageCore;
  readonly tokens: VilaTokens;
  embed(ids: readonly number[], blocks: readonly Tensor<'f32'>[]): Tensor<'f32'>;
}

/** An answer as a stream. @param look  whose blocks are one for each image token */
export async function* answer(
  model: Reader,
  ids: readonly number[],
  look: Pick<VilaLook, 'blocks' | 'prefix'>,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, void, undefined> {
  const { language, tokens } = model;
  const { blocks } = look;
  const prefix = prefixOf(look.prefix, ids, tokens.image);
  const seen = ids.filter((id) => id !== tokens.image);
  const shown = blocks.reduce((sum, { shape }) => sum + shape[1] + tokens.newline.length, 0);
  const start = {
    embedded: (scope: Parameters<Tensor['in']>[0]): Tensor<'f32'> => {
      const own = blocks.map((block) => block.in(scope));
      const embedded = model.embed(ids, own).moveTo(scope);
      return prefix ? behind(prefix, embedded) : embedded;
    },
    before: prefix?.layers,
    lengths: [seen.length + shown],
    seen: [seen],
  };
  yield* streamed(language, goOn('VilaModel.answer', language, start, options));
}
