/** The course of a learning rate. */
export interface Schedule {
  /** Steps in all. */
  readonly steps: number;
  /** Steps until the peak. */
  readonly warmup: number;
  /** The highest rate. */
  readonly peak: number;
}

/**
 * Learning rate with linear warm-up and half a cosine down to zero:
 * peak (step + 1) / warmup, then peak (1 + cos(pi (step - warmup) / (steps - warmup))) / 2.
 *
 * @param step  counted from 0
 * Source: open_clip's cosine_lr, as PS3 was trained.
 */
export function warmupCosine(step: number, { steps, warmup, peak }: Schedule): number {
  if (step < warmup) return (peak * (step + 1)) / warmup;
  const progress = Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
  return (peak * (1 + Math.cos(Math.PI * progress))) / 2;
}
