// VQA accuracy with the EvalAI normaliser, the score of TextVQA. Antol et al. 2015, arXiv:1505.00468.

const NUMBERS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];
const DIGITS = new Map([['none', '0'], ...NUMBERS.map((word, i) => [word, `${i}`] as const)]);
const ARTICLES = ['a', 'an', 'the'];
const PUNCTUATION = Array.from(';/[]"{}()=+\\_-><@`,?!');
/** Dots that one text may lose: the reference passes a flag, 32, where this count belongs. */
const MOST_DOTS = 32;

/** What contractions are restored to. */
const CONTRACTIONS =
  "'ow's'at 'twas I'd've I'm I've ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't " +
  "hadn't've hasn't haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll let's ma'am might've " +
  "mightn't mightn't've must've mustn't needn't not've o'clock oughtn't shan't she'd've she's should've shouldn't " +
  "shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's something'd " +
  "something'd've something'll that's there'd there'd've there're there's they'd they'd've they'll they're they've " +
  "wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've who'd who'd've " +
  "who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd " +
  "you'd've you'll you're you've";
/** Words whose apostrophe the reference does not restore. */
const NOT_RESTORED = ['lets', 'shes'];

/** Contraction without one of its apostrophes -> contraction. */
const RESTORED: ReadonlyMap<string, string> = new Map([
  ...CONTRACTIONS.split(' ').flatMap((word) =>
    [...word.matchAll(/'/g)]
      .map(({ index }) => [word.slice(0, index) + word.slice(index + 1), word] as const)
      .filter(([key]) => !NOT_RESTORED.includes(key)),
  ),
  ["somebody'd", 'somebodyd'],
]);

/** Deletes punctuation next to a blank, else makes it a blank; deletes dots that no digit follows. */
function withoutPunctuation(text: string): string {
  const hasThousands = /\d,+\d/.test(text);
  let result = text;
  for (const mark of PUNCTUATION) {
    const isDeleted = text.includes(`${mark} `) || text.includes(` ${mark}`) || hasThousands;
    result = result.replaceAll(mark, isDeleted ? '' : ' ');
  }
  let dots = 0;
  return result.replace(/\.(?!\d)/g, (dot) => (++dots <= MOST_DOTS ? '' : dot));
}

/**
 * The form in which answers are compared: lower case, without punctuation and articles, numbers up to ten as digits,
 * contractions with their apostrophes.
 *
 * Source: the EvalAI normaliser, as VILA and lmms-eval have it.
 */
export function normalizeAnswer(answer: string): string {
  const lower = answer.toLowerCase().replaceAll(',', '').replaceAll('?', '').replaceAll("'s", " 's").trim();
  return withoutPunctuation(lower.replace(/[\n\t]/g, ' ').trim())
    .split(/\s+/)
    .filter((word) => word !== '' && !ARTICLES.includes(word))
    .map((word) => DIGITS.get(word) ?? word)
    .map((word) => RESTORED.get(word) ?? word)
    .join(' ');
}

/**
 * Agreement with the people who answered.
 *
 *   mean over i of min(1, answers other than the i-th that equal the prediction / 3)
 *
 * @param answers  one for each person, ten in TextVQA
 */
export function vqaAccuracy(answers: readonly string[], prediction: string): number {
  const predicted = normalizeAnswer(prediction);
  const isSame = answers.map((answer) => normalizeAnswer(answer) === predicted);
  const same = isSame.filter(Boolean).length;
  const shares = isSame.map((own) => Math.min(1, (same - Number(own)) / 3));
  return shares.reduce((sum, share) => sum + share, 0) / answers.length;
}
