// Scores by equal and contained texts: OCRBench and what RealWorldQA asks without options.

/** Full-width ASCII as ASCII. */
function folded(text: string): string {
  return text.replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
}

/** How texts are compared in OCRBench. */
export interface ContainedOptions {
  /** Keeps case and removes all blanks, as for handwritten formulas (HME100k); default false. */
  readonly isFormula?: boolean;
  /** Takes full-width ASCII for ASCII, as lmms-eval does and VLMEvalKit does not; default false. */
  readonly foldFullWidth?: boolean;
}

/**
 * Whether any answer stands somewhere in a prediction; lower case, without outer blanks, line breaks as blanks.
 *
 * Source: Liu et al. 2023, arXiv:2305.07895, OCRBench.
 */
export function isContained(
  answers: readonly string[],
  prediction: string,
  { isFormula = false, foldFullWidth = false }: ContainedOptions = {},
): boolean {
  const plain = (text: string): string => {
    const line = (foldFullWidth ? folded(text) : text).trim().replaceAll('\n', ' ');
    return isFormula ? line.replaceAll(' ', '') : line.toLowerCase();
  };
  const predicted = plain(prediction);
  return answers.some((answer) => predicted.includes(plain(answer)));
}

/** Whether a prediction is an answer, but for case and a dot at the end. Source: lmms-eval, realworldqa. */
export function isExact(answers: readonly string[], prediction: string): boolean {
  const plain = (text: string): string => text.toLowerCase().trim().replace(/\.$/, '');
  return answers.some((answer) => plain(answer) === plain(prediction));
}
