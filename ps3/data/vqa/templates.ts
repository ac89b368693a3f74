// Questions about places of an image, made of the captions of its boxes. Their answers are not told: they train where to look.
// Shi et al. 2025, arXiv:2503.19903, selection tuning of VILA-HD, where a language model rewrites the captions.
import type { Random } from '../../../engine/index.ts';
import { canonicalize } from '../../model/text/canonicalize.ts';
import type { Annotation, AskedQuestion } from '../annotations.ts';
import type { Box } from '../boxes.ts';

/** Words up to which a caption is a name. */
const NAME_WORDS = 4;
/** Words that a text is told by. */
const BEGINNING_WORDS = 3;

/**
 * Forms of a question, in which TEXT stands for what a caption says. It comes last, since the state of the last token is what asks where
 * to look.
 */
export const FORMS = {
  /** Of names of things. */
  name: ['Where in the image is the TEXT', 'Describe the TEXT', 'What is beside the TEXT'],
  /** Of longer descriptions. */
  description: ['Where does the image show this: TEXT', 'What else is to be seen here: TEXT'],
  /** Of texts, by their first words. */
  text: ['What does the text say that begins with “TEXT”', 'Which words follow “TEXT”'],
} as const;

/** Whether captions say what things are, or are what is written there. */
export type CaptionKind = 'things' | 'texts';

/**
 * Questions about the places of an image, each about all boxes of which a caption says the same.
 *
 * @param count  at most; which ones, and their forms, are drawn
 */
export function questionsOf(
  { captions, boxes }: Pick<Annotation, 'captions' | 'boxes'>,
  kind: CaptionKind,
  count: number,
  random: Random,
): AskedQuestion[] {
  const places = new Map<string, { readonly said: Said; readonly boxes: Box[] }>();
  for (const [i, caption] of captions.entries()) {
    const said = saidBy(caption, kind);
    // What is written somewhere may go on in different ways, and is asked for by its beginning alone.
    const key = canonicalize(said.text);
    const known = places.get(key);
    if (known) known.boxes.push(boxes[i]);
    else places.set(key, { said, boxes: [boxes[i]] });
  }
  const drawn = random.shuffle([...places.values()]).slice(0, count);
  return drawn.map(({ said: { form, text }, boxes }) => {
    const forms = FORMS[form];
    return { question: forms[random.integer(forms.length)].replace('TEXT', () => text), boxes };
  });
}

interface Said {
  readonly form: keyof typeof FORMS;
  readonly text: string;
}

function saidBy(caption: string, kind: CaptionKind): Said {
  const words = caption.trim().split(/\s+/);
  if (kind === 'texts') return { form: 'text', text: words.slice(0, BEGINNING_WORDS).join(' ') };
  const text = words
    .join(' ')
    .replace(/[.!?]+$/, '')
    .replace(/^(the|an?) /i, '');
  return { form: words.length <= NAME_WORDS ? 'name' : 'description', text };
}
