// The annotation of an image, as both storage layouts hold it:
//
//   {"text": ["fox", "key"], "box": [[x1, y1, x2, y2], [x1, y1, x2, y2]], "global_text": "fox and key"}
//
// Boxes are in pixels of the stored image. Local captions with boxes, a global caption, questions, or several of them:
//
//   {"questions": [{"question": "What does the sign say", "answer": "STOP", "box": [[x1, y1, x2, y2]]}]}
//
// Without an answer a question says where to look, and no more; without a box nobody knows where its answer is.
import sharp from 'sharp';
import { type DecodedImage, decodeImage } from '../model/image.ts';
import { canonicalize } from '../model/text/canonicalize.ts';
import { type Box, squashBoxes } from './boxes.ts';
import { cropToSquare } from './decode.ts';
import { DataError } from './errors.ts';

/** A question about an image. */
export interface AskedQuestion {
  /** As a person would ask it. */
  readonly question: string;
  /** Absent where it is not told. */
  readonly answer?: string;
  /** Every place that answers; empty where nobody knows. */
  readonly boxes: readonly Box[];
}

/** The captions, boxes and questions of an image. */
export interface Annotation {
  /** One for each caption. */
  boxes: Box[];
  /** What each box shows. */
  captions: string[];
  /** What the whole image shows. */
  globalCaption: string | undefined;
  /** What is asked about it; absent where nothing is. */
  questions?: readonly AskedQuestion[];
}

/** A square image with its annotation, boxes in its pixels. */
export interface Sample extends Annotation {
  /** Name of the image in its collection. */
  key: string;
  /** Side in pixels. */
  side: number;
  /** [side, side, 4], opaque. */
  rgba: Uint8Array;
}

/** The annotation's JSON object. */
export interface AnnotationJson {
  text: string[];
  box: Box[];
  global_text?: string;
  questions?: { question: string; answer?: string; box: readonly Box[] }[];
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function isBox(value: unknown): value is Box {
  return Array.isArray(value) && value.length === 4 && value.every((edge) => Number.isFinite(edge));
}

/** Whether nothing is left of a caption in the form that models are trained on. */
export function isWordless(caption: string): boolean {
  return canonicalize(caption) === '';
}

/**
 * Checks an annotation that was read from a file.
 *
 * @param where  file and line or archive and entry, for the message
 * @throws DataError with the rule, the value and the place
 */
export function parseAnnotation(value: unknown, where: string): Annotation {
  const fail: Fail = (rule, got, advice) => {
    throw new DataError(`parseAnnotation: ${where}: ${rule}, got ${show(got)}. ${advice}`);
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fail(
      'an annotation must be a JSON object',
      value,
      'Write {"text": [...], "box": [[x1, y1, x2, y2]]}.',
    );
  }
  // Some writers give null for an absent value.
  const given = value as Record<string, unknown>;
  const [text, box, globalText] = [given.text ?? [], given.box ?? [], given.global_text ?? undefined];
  if (!Array.isArray(text) || text.some((caption) => typeof caption !== 'string' || isWordless(caption))) {
    fail(
      '`text` must be a list of captions with a word each',
      text,
      'Remove captions of nothing but punctuation, and empty ones, with their boxes.',
    );
  }
  if (!Array.isArray(box) || !box.every(isBox)) {
    fail('`box` must be a list of [x1, y1, x2, y2]', box, 'Give four finite numbers for each box.');
  }
  const captions = text as string[];
  const boxes = box as Box[];
  if (captions.length !== boxes.length) {
    const got = `${captions.length} captions and ${boxes.length} boxes`;
    fail('`text` and `box` must have the same length', got, 'Each box needs one caption.');
  }
  if (globalText !== undefined && typeof globalText !== 'string') {
    fail('`global_text` must be a string', globalText, 'Leave it out where there is none.');
  }
  if (typeof globalText === 'string' && globalText.trim() !== '' && isWordless(globalText)) {
    fail('`global_text` must have a word', globalText, 'Leave it out where there is none.');
  }
  const globalCaption = typeof globalText === 'string' && globalText.trim() !== '' ? globalText : undefined;
  const questions = questionsOf(given.questions ?? [], fail);
  if (captions.length === 0 && globalCaption === undefined && questions.length === 0) {
    fail('an image must have a caption', 'none', 'Add `text` with `box`, `global_text`, or `questions`.');
  }
  return { boxes, captions, globalCaption, ...(questions.length > 0 && { questions }) };
}

type Fail = (rule: string, got: unknown, advice: string) => never;

function questionsOf(value: unknown, fail: Fail): AskedQuestion[] {
  const advice = 'Write {"question": "...", "answer": "...", "box": [[x1, y1, x2, y2]]}.';
  if (!Array.isArray(value)) return fail('`questions` must be a list', value, advice);
  const isText = (text: unknown): text is string => typeof text === 'string' && text.trim() !== '';
  return value.map((asked: unknown): AskedQuestion => {
    const { question, answer: given, box } = (asked ?? {}) as Readonly<Record<string, unknown>>;
    const [answer, boxes] = [given ?? undefined, box ?? []];
    if (!isText(question)) return fail('a question must be a text', question, advice);
    if (answer !== undefined && !isText(answer))
      return fail('an answer must be a text', answer, 'Leave it out where it is not told.');
    if (!Array.isArray(boxes) || !boxes.every(isBox))
      return fail('`box` of a question must be a list of [x1, y1, x2, y2]', boxes, advice);
    if (answer === undefined && boxes.length === 0)
      return fail('a question must have an answer or a box', asked, advice);
    return { question, ...(answer !== undefined && { answer }), boxes };
  });
}

/**
 * Boxes inside their image: edges outside by less than a pixel, as rounding leaves them, are clipped.
 *
 * @throws DataError with the box and the image's size when a box is further outside or has no area
 */
export function boxesInside(boxes: readonly Box[], width: number, height: number, where: string): Box[] {
  return boxes.map((box) => {
    const inside = box.map((edge, i) => Math.min(Math.max(edge, 0), i % 2 === 0 ? width : height));
    const isFar = box.some((edge, i) => Math.abs(edge - inside[i]) >= 1);
    const [x1, y1, x2, y2] = inside;
    if (isFar || x1 >= x2 || y1 >= y2) {
      throw new DataError(
        `boxesInside: ${where}: a box must satisfy 0 <= x1 < x2 <= ${width} and 0 <= y1 < y2 <= ${height}, ` +
          `got ${show(box)}. Boxes are [x1, y1, x2, y2] in pixels of the stored image.`,
      );
    }
    return [x1, y1, x2, y2];
  });
}

/** Questions whose boxes are inside their image. @throws as `boxesInside` */
export function questionsInside(
  { questions }: Pick<Annotation, 'questions'>,
  width: number,
  height: number,
  where: string,
): Pick<Annotation, 'questions'> {
  return withBoxes(questions, (boxes) => boxesInside(boxes, width, height, where));
}

/** Questions with other boxes in place of theirs; none where there are none. */
export function withBoxes(
  questions: readonly AskedQuestion[] | undefined,
  boxesOf: (boxes: readonly Box[]) => readonly Box[],
): Pick<Annotation, 'questions'> {
  if (!questions) return {};
  return { questions: questions.map((asked) => ({ ...asked, boxes: boxesOf(asked.boxes) })) };
}

/**
 * Decodes an annotated image, squashed to a square; boxes are checked and scaled with it.
 *
 * @param input  path or encoded bytes
 * @param where  name for the message
 * @throws ImageError when the image is missing or corrupt, DataError when a box is outside of it
 */
export async function decodeAnnotated(
  input: string | Uint8Array,
  annotated: Annotation & { key: string },
  side: number,
  where: string,
): Promise<Sample> {
  const { key, captions, globalCaption } = annotated;
  const image = await decodeImage(input, { name: where });
  const { width, height } = image;
  const squashed = (boxes: readonly Box[]): Box[] =>
    squashBoxes(boxesInside(boxes, width, height, where), width, height, side);
  const boxes = squashed(annotated.boxes);
  const asked = withBoxes(annotated.questions, squashed);
  const rgba = await cropToSquare(image, undefined, side);
  return { key, side, rgba, boxes, captions, globalCaption, ...asked };
}

/** The JSON object of an annotation. */
export function annotationJson({ boxes, captions, globalCaption, questions }: Annotation): AnnotationJson {
  return {
    text: captions,
    box: boxes,
    ...(globalCaption === undefined ? {} : { global_text: globalCaption }),
    ...(questions && { questions: questions.map(({ boxes, ...asked }) => ({ ...asked, box: boxes })) }),
  };
}

/** Encodes an image for training: JPEG 4:4:4, since chroma subsampling smears small coloured things. */
export function encodeJpeg({ rgba, width, height }: DecodedImage, quality = 92): Promise<Uint8Array> {
  return sharp(rgba, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .jpeg({ quality, chromaSubsampling: '4:4:4' })
    .toBuffer();
}
