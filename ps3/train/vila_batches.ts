// Batches that a VILA-HD is trained with: images and conversations about them; here scenes of cards, each with a question.
import { Random, type Tensor } from '../../engine/index.ts';
import { type Box, boxCells } from '../data/boxes.ts';
import { sceneSeed } from '../data/build.ts';
import { askAboutCard, type CardQuestion, findCards } from '../data/card_questions.ts';
import { buildScene, type SceneKit } from '../data/scenes.ts';
import type { ChatMessage } from '../language/chat.ts';
import { IGNORED } from '../language/labels.ts';
import type { EncodedChat, LanguageTokenizer } from '../language/tokenizer.ts';
import { questionIds } from '../vila/answer.ts';
import type { HostTensor, Made } from './batches.ts';

/** Conversations about images, Q about each, one after another. */
export interface VilaBatch {
  /** u8 [B, S, S, 4] */
  readonly image: Tensor<'u8'>;
  /** [B Q, G, G], nonzero in the cells that the boxes that answer touch. */
  readonly box: Tensor;
  /** i32 [B Q, T], `PADDING` behind the end. */
  readonly ids: Tensor;
  /** i32 [B Q, T], as `VilaSample.labels`. */
  readonly labels: Tensor;
}

/** Stands behind the end of a conversation. */
const PADDING = -1;

/** A scene and questions about it. */
export interface AskedScene {
  /** S */
  readonly side: number;
  /** [S, S, 4] */
  readonly rgba: Uint8Array;
  readonly questions: readonly CardQuestion[];
}

/**
 * Scene number `index` of a collection, and questions about it.
 *
 * @param name  of the collection: those of different names share no scene
 * @param count  of the questions, each drawn by itself
 * @param rgba   [S, S, 4], where to build it, as of `buildScene`
 */
export function askedScene(
  kit: SceneKit,
  seed: number,
  name: string,
  index: number,
  count: number = 1,
  rgba?: Uint8Array,
): AskedScene {
  for (let attempt = 0; ; attempt++) {
    const own = sceneSeed(seed, attempt === 0 ? name : `${name}, again ${attempt}`, index);
    const { side, ...cards } = buildScene(kit, own, rgba);
    const random = new Random(own, 1);
    const questions = Array.from({ length: count }).flatMap(() => askAboutCard(cards, random) ?? []);
    if (questions.length > 0) return { side, rgba: cards.rgba, questions };
  }
}

/** A question about one image, and its answer, where it is told. */
export function messagesOf({ question, answer }: Told): ChatMessage[] {
  const asked: ChatMessage = { role: 'user', content: `<image>\n${question}` };
  return answer === undefined ? [asked] : [asked, { role: 'assistant', content: answer }];
}

/** A question, and its answer where it is told. */
export interface Told {
  readonly question: string;
  readonly answer?: string;
}

/** The same in tokens, with its labels: none where the answer is not told. */
export function conversation(tokenizer: LanguageTokenizer, asked: Told): EncodedChat {
  if (asked.answer !== undefined) return tokenizer.encodeChat(messagesOf(asked));
  const ids = Int32Array.from(questionIds(tokenizer, asked.question, 1));
  return { ids, labels: new Int32Array(ids.length).fill(IGNORED) };
}

/** How batches are made. */
export interface VilaBatchOptions {
  /** Images. */
  readonly batch: number;
  /** G, a multiple of every scale's. */
  readonly gridSide: number;
  readonly seed: number;
  /** Of the collection of scenes. */
  readonly name: string;
  /** Questions about each image, with their answers; default 1. */
  readonly questions?: number;
  /** Questions about each image, whose answers are not told, instead of these. */
  readonly searches?: number;
}

/** Makes the batch of a step. */
export function vilaBatches(
  kit: SceneKit,
  tokenizer: LanguageTokenizer,
  { batch, gridSide, seed, name, questions, searches }: VilaBatchOptions,
): (step: number) => Made<VilaBatch> {
  const { side } = kit.spec;
  return (step) => {
    const image = new Uint8Array(batch * side * side * 4);
    const rows: VilaRow[] = [];
    for (let b = 0; b < batch; b++) {
      const place = image.subarray(b * side * side * 4, (b + 1) * side * side * 4);
      if (searches === undefined) {
        for (const asked of askedScene(kit, seed, `${name} ${step}`, b, questions, place).questions)
          rows.push({ ...conversation(tokenizer, asked), boxes: [asked.box] });
        continue;
      }
      const own = sceneSeed(seed, `${name} ${step}`, b);
      for (const { question, boxes } of findCards(buildScene(kit, own, place), searches, new Random(own, 1)))
        rows.push({ ...conversation(tokenizer, { question }), boxes });
    }
    return vilaBatch(rows, image, side, gridSide);
  };
}

/** A conversation in tokens, and where its answer is; empty where nobody knows. */
export interface VilaRow extends EncodedChat {
  readonly boxes: readonly Box[];
}

/**
 * Puts a batch together.
 *
 * @param rows   Q for each image
 * @param image  [B, side, side, 4]
 */
export function vilaBatch(
  rows: readonly VilaRow[],
  image: Uint8Array,
  side: number,
  gridSide: number,
): Made<VilaBatch> {
  const count = rows.length;
  const T = Math.max(...rows.map(({ ids }) => ids.length));
  const box = new Float32Array(count * gridSide * gridSide);
  const ids = new Int32Array(count * T).fill(PADDING);
  const labels = new Int32Array(count * T).fill(IGNORED);
  for (const [i, row] of rows.entries()) {
    box.set(boxCells(row.boxes, side, gridSide), i * gridSide * gridSide);
    ids.set(row.ids, i * T);
    labels.set(row.labels, i * T);
  }
  const host: Made<VilaBatch>['host'] = {
    image: { data: image, shape: [image.length / (side * side * 4), side, side, 4] },
    box: { data: box, shape: [count, gridSide, gridSide] },
    ids: { data: ids, shape: [count, T] },
    labels: { data: labels, shape: [count, T] },
  };
  return { host };
}

/** Rows of a padded table, each as far as its conversation goes. */
export function unpadded(
  ids: HostTensor,
  labels: HostTensor,
): { readonly ids: number[]; readonly labels: number[] }[] {
  const [B, T] = ids.shape;
  return Array.from({ length: B }, (_, b) => {
    const row = Array.from(ids.data.subarray(b * T, (b + 1) * T));
    const end = row.indexOf(PADDING);
    const length = end < 0 ? T : end;
    return {
      ids: row.slice(0, length),
      labels: Array.from(labels.data.subarray(b * T, b * T + length)),
    };
  });
}
