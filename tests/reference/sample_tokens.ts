// The next token in plain loops: what may be drawn, ranked by sorting, and the place of u in the sum of their weights.

export interface Sampling {
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly penalty?: number;
}

/** What may be drawn, in the order of ids, with its probability. */
export function candidates(
  logits: readonly number[],
  { temperature, topK = logits.length, topP = 1, penalty = 1 }: Sampling,
  seen: ReadonlySet<number> = new Set(),
): { id: number; p: number }[] {
  const xs = logits.map((x, id) => (seen.has(id) ? (x < 0 ? x * penalty : x / penalty) : x));
  const most = Math.max(...xs);
  const ranked = xs
    .map((x, id) => ({ id, weight: Math.exp((x - most) / temperature), x }))
    .sort((a, b) => b.x - a.x || a.id - b.id)
    .slice(0, topK);
  const enough = topP * ranked.reduce((sum, { weight }) => sum + weight, 0);
  let [sum, count] = [0, 0];
  // Sums of equal weights reach their share but for the rounding of float64.
  while (count < ranked.length && (count === 0 || sum < enough * (1 - 1e-12))) sum += ranked[count++].weight;
  return ranked
    .slice(0, count)
    .sort((a, b) => a.id - b.id)
    .map(({ id, weight }) => ({ id, p: weight / sum }));
}

/** The token at u in [0, 1), and how far u is from where the next one begins. */
export function draw(kept: readonly { id: number; p: number }[], u: number): { id: number; margin: number } {
  let sum = 0;
  for (const { id, p } of kept) {
    if (u < sum + p) return { id, margin: Math.min(u - sum, sum + p - u) };
    sum += p;
  }
  return { id: kept.at(-1)!.id, margin: 0 };
}
