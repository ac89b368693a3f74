// How probable answers are, each as the whole turn of the assistant. Wu & Xie 2024, arXiv:2312.14135, vstar_bench_eval.py.
import { concat, crossEntropy, noGrad, output, Scope, slice, type Tensor } from '../../engine/index.ts';
import { expectContext, type LanguageCore } from '../language/core.ts';
import { IGNORED } from '../language/labels.ts';
import type { LanguageTokenizer } from '../language/tokenizer.ts';
import { behind } from './prefix.ts';
import type { Prefix } from './vila_types.ts';

/** The tokens of an answer, and the one that ends it: those that training labels. */
export function answerIds(tokenizer: LanguageTokenizer, answer: string): number[] {
  const { labels } = tokenizer.encodeChat([
    { role: 'user', content: '?' },
    { role: 'assistant', content: answer.trim() },
  ]);
  return [...labels].filter((label) => label !== IGNORED);
}

/**
 * The mean log-probability of the tokens of each answer behind a text, which is read once.
 *
 *   score = 1/n sum_t log softmax(logits[t - 1])[answer[t]]
 *
 * @param embedded  the text, [1, T, D]
 * @param answers   tokens of each, one at least
 * @param prefix    what the text begins with, where it was read
 * @throws UseError where text and answer do not fit into the context
 */
export async function likelihoods(
  language: LanguageCore,
  embedded: Tensor<'f32'>,
  answers: readonly (readonly number[])[],
  prefix?: Prefix,
): Promise<number[]> {
  const T = embedded.shape[1];
  const longest = Math.max(...answers.map(({ length }) => length));
  expectContext('VilaModel.likelihoods', language.config, T + longest);
  using cache = language.newCache({ length: T + longest });
  using scope = new Scope();
  const losses = noGrad(() => {
    if (prefix) cache.begin(prefix.layers);
    const text = embedded.in(scope);
    const read = language.decode(prefix ? behind(prefix, text) : text, {
      cache,
      offset: prefix?.length ?? 0,
    });
    const last = slice(read, { axis: 1, start: read.shape[1] - 1, length: 1 });
    return answers.map((answer) => {
      const ids = output([last], [1, answer.length], 'u32');
      ids.write(Uint32Array.from(answer));
      const behind = answer.length - 1; // the last token foretells nothing that counts
      const own = behind === 0 ? [] : [language.embed(slice(ids, { axis: 1, length: behind }))];
      const states = concat([last, ...own.map((x) => language.decode(x, { cache, offset: T }))], { axis: 1 });
      return crossEntropy(language.logits(states, { isInference: true }), ids);
    });
  });
  const values = await Promise.all(losses.map((loss) => loss.data()));
  return values.map(([loss]) => -loss);
}
