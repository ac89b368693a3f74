/** A label of this value is left out of the loss, as in PyTorch. */
export const IGNORED = -100;
