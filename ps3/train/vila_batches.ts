// What a VILA-HD is trained and asked with: scenes of cards, each with a question.
import { Random, type Tensor } from '../../engine/index.ts';
import { type Box, boxCells } from '../data/boxes.ts';
import { sceneSeed } from '../data/build.ts';
import { allCardQuestions, askAboutCard, type CardQuestion, findCards } from '../data/card_questions.ts';
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

/** A scene and a question about it. */
export interface AskedScene extends CardQuestion {
  /** S */
  readonly side: number;
  /** [S, S, 4] */
  readonly rgba: Uint8Array;
}

/**
 * Question number `index` of a collection, each about a scene of its own.
 *
 * @param name  of the collection: those of different names share no scene
 */
export function askedScene(kit: SceneKit, seed: number, name: string, index: number): AskedScene {
  for (let attempt = 0; ; attempt++) {
    const own = sceneSeed(seed, attempt === 0 ? name : `${name}, again ${attempt}`, index);
    const scene = buildScene(kit, own);
    const question = askAboutCard(scene, new Random(own, 1));
    if (question) return { ...question, side: scene.side, rgba: scene.rgba };
  }
}

/** A question about one image, and its answer. */
export function messagesOf({ question, answer }: Pick<CardQuestion, 'question' | 'answer'>): ChatMessage[] {
  return [
    { role: 'user', content: `<image>\n${question}` },
    { role: 'assistant', content: answer },
  ];
}

/** The same in tokens, with its labels. */
export function conversation(
  tokenizer: LanguageTokenizer,
  asked: Pick<CardQuestion, 'question' | 'answer'>,
): EncodedChat {
  return tokenizer.encodeChat(messagesOf(asked));
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
  /** Questions about each image, whose answers are not told; undefined: one, with its answer. */
  readonly searches?: number;
}

/** Makes the batch of a step. */
export function vilaBatches(
  kit: SceneKit,
  tokenizer: LanguageTokenizer,
  { batch, gridSide, seed, name, searches }: VilaBatchOptions,
): (step: number) => Made<VilaBatch> {
  const { side } = kit.spec;
  const T = Math.max(...allCardQuestions().map((asked) => conversation(tokenizer, asked).ids.length));
  const count = searches ?? 1;
  return (step) => {
    const image = new Uint8Array(batch * side * side * 4);
    const box = new Float32Array(batch * count * gridSide * gridSide);
    const ids = new Int32Array(batch * count * T).fill(PADDING);
    const labels = new Int32Array(batch * count * T).fill(IGNORED);
    const put = (row: number, boxes: readonly Box[], own: ArrayLike<number>): void => {
      box.set(boxCells(boxes, side, gridSide), row * gridSide * gridSide);
      ids.set(own, row * T);
    };
    for (let b = 0; b < batch; b++) {
      const place = b * side * side * 4;
      if (searches === undefined) {
        const asked = askedScene(kit, seed, `${name} ${step}`, b);
        image.set(asked.rgba, place);
        const chat = conversation(tokenizer, asked);
        put(b, [asked.box], chat.ids);
        labels.set(chat.labels, b * T);
        continue;
      }
      const own = sceneSeed(seed, `${name} ${step}`, b);
      const scene = buildScene(kit, own, image.subarray(place, place + side * side * 4));
      for (const [k, { question, boxes }] of findCards(scene, searches, new Random(own, 1)).entries())
        put(b * searches + k, boxes, questionIds(tokenizer, question, 1));
    }
    const host: Made<VilaBatch>['host'] = {
      image: { data: image, shape: [batch, side, side, 4] },
      box: { data: box, shape: [batch * count, gridSide, gridSide] },
      ids: { data: ids, shape: [batch * count, T] },
      labels: { data: labels, shape: [batch * count, T] },
    };
    return { host };
  };
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
