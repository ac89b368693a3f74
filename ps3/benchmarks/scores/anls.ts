// Average normalised Levenshtein similarity, the score of DocVQA and InfoVQA. Biten et al. 2019, arXiv:1905.13648.

/** Insertions, deletions and replacements of code points that make one text the other. */
export function editDistance(from: string, to: string): number {
  const [a, b] = [Array.from(from), Array.from(to)];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}

const plain = (text: string): string => text.trim().toLowerCase().split(/\s+/).join(' ');

/**
 * How close a prediction is to the nearest accepted answer; below one half it counts as nothing.
 *
 *   s = 1 - min over answers of edits(plain answer, plain prediction) / max(length of answer, length of prediction)
 *
 * Lengths are those of the texts as they are given, in code points, a quirk of both suites; texts are compared in lower case
 * with single blanks.
 *
 * @returns  s where it is at least 0.5, else 0
 * Source: lmms-eval, docvqa and infovqa; VLMEvalKit, anls_compute.
 */
export function anls(answers: readonly string[], prediction: string): number {
  const distances = answers.map((answer) => {
    const length = Math.max(Array.from(answer).length, Array.from(prediction).length);
    return length === 0 ? 0 : editDistance(plain(answer), plain(prediction)) / length;
  });
  const similarity = 1 - Math.min(...distances);
  return similarity >= 0.5 ? similarity : 0;
}
