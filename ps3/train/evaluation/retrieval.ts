// Retrieval from scores: which place the first right candidate of every query takes.

/** Queries in rows, candidates in columns. */
export interface RetrievalTask {
  readonly rows: number;
  readonly columns: number;
  /** How well they fit; more is better. */
  score(row: number, column: number): number;
  isRight(row: number, column: number): boolean;
  /** Which columns compete with the right ones; default all. */
  isCandidate?(row: number, column: number): boolean;
}

/**
 * The rank of the best right candidate of every query.
 *
 *   rank[r] = 1 + the number of wrong candidates that score as high as the best right one, or higher
 *
 * A query hits at k where its rank is at most k: any of its right candidates is among the first k. A tie counts against it.
 *
 * @returns  from 1; NaN for a query without a right candidate
 * Source: CLIP_benchmark, zeroshot_retrieval.py.
 */
export function ranksOf({ rows, columns, score, isRight, isCandidate }: RetrievalTask): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let best = Number.NEGATIVE_INFINITY;
    let hasRight = false;
    for (let column = 0; column < columns; column++)
      if (isRight(row, column)) {
        best = Math.max(best, score(row, column));
        hasRight = true;
      }
    if (!hasRight) return Number.NaN;
    let rank = 1;
    for (let column = 0; column < columns; column++) {
      if (isRight(row, column) || (isCandidate && !isCandidate(row, column))) continue;
      if (score(row, column) >= best) rank++;
    }
    return rank;
  });
}

/** The middle of numbers, the mean of the two middle ones of an even count; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}
