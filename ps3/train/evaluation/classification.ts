// Classification by texts. Radford et al. 2021, arXiv:2103.00020, zero-shot with an ensemble of templates.

/** Puts the name of a class into every template; `{}` is where it goes. */
export function fillTemplates(templates: readonly string[], name: string): string[] {
  return templates.map((template) => template.replaceAll('{}', name));
}

/**
 * One feature for each class: the normalised mean of the normalised features of its texts.
 *
 * @param features  [classes * templates, E], class after class
 * @returns         [classes, E]
 * Source: open_clip, zero_shot_classifier.py.
 */
export function classFeatures(features: Float32Array, classes: number, E: number): Float32Array {
  const templates = features.length / classes / E;
  const result = new Float32Array(classes * E);
  for (let c = 0; c < classes; c++) {
    const mean = new Float64Array(E);
    for (let t = 0; t < templates; t++) {
      const row = features.subarray((c * templates + t) * E, (c * templates + t + 1) * E);
      const length = Math.hypot(...row);
      row.forEach((value, e) => {
        mean[e] += value / length / templates;
      });
    }
    const length = Math.hypot(...mean);
    result.set(
      mean.map((value) => value / length),
      c * E,
    );
  }
  return result;
}

/**
 * The place of the right class among all, from 1; of equal scores the class with the lower index comes first.
 *
 * @param scores  of every class
 */
export function placeOf(scores: ArrayLike<number>, label: number): number {
  let place = 1;
  for (let c = 0; c < scores.length; c++)
    if (scores[c] > scores[label] || (scores[c] === scores[label] && c < label)) place++;
  return place;
}

/** Share of right answers of each class, averaged over the classes that occur. */
export function meanPerClass(labels: readonly number[], isRight: readonly boolean[]): number {
  const byClass = new Map<number, { right: number; all: number }>();
  labels.forEach((label, i) => {
    const { right, all } = byClass.get(label) ?? { right: 0, all: 0 };
    byClass.set(label, { right: right + Number(isRight[i]), all: all + 1 });
  });
  const shares = [...byClass.values()].map(({ right, all }) => right / all);
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}
