// Relaxed accuracy, the score of ChartQA. Masry et al. 2022, arXiv:2203.10244.

/** What Python's float() accepts. */
const FLOAT = /^[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i;

/** The number that Python's float() reads; undefined where it throws. */
function pythonFloat(text: string): number | undefined {
  const word = text.trim();
  if (FLOAT.test(word)) return Number(word.replaceAll('_', ''));
  const named = /^([+-]?)(inf(?:inity)?|nan)$/i.exec(word);
  if (!named) return undefined;
  if (named[2].toLowerCase() === 'nan') return Number.NaN;
  return named[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** A number, or a percentage as a share. */
function numberOf(text: string): number | undefined {
  if (!text.endsWith('%')) return pythonFloat(text);
  const number = pythonFloat(text.replace(/%+$/, ''));
  return number === undefined ? undefined : number / 100;
}

/**
 * Whether a prediction is within 5 % of a target that is a number other than 0, else whether the two are the same text but
 * for case.
 *
 * Source: lmms-eval and VLMEvalKit, relaxed_correctness.
 */
export function isRelaxedCorrect(prediction: string, target: string): boolean {
  const [predicted, wanted] = [numberOf(prediction), numberOf(target)];
  if (predicted !== undefined && wanted !== undefined && wanted !== 0)
    return Math.abs(predicted - wanted) / Math.abs(wanted) <= 0.05;
  return prediction.toLowerCase() === target.toLowerCase();
}
