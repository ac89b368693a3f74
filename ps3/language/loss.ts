// The loss of next tokens, with labels that leave some out.
import {
  cast,
  div,
  expect,
  expectDType,
  gather,
  greaterEqual,
  linear,
  logSoftmax,
  maximum,
  mul,
  neg,
  slice,
  sum,
  type Tensor,
  tidy,
} from '../../engine/index.ts';
import type { LanguageModel } from './language_model.ts';

/**
 * Cross-entropy of next tokens, the mean over all labels of the batch that count. Differentiable.
 *
 *   loss = -1/n sum over counted (b, t) of log softmax(logits[b, t - 1])[labels[b, t]]
 *
 * The label of a token stands at its own place: the first of a row is never counted.
 *
 * @param ids     [B, T] i32, rows padded on the right
 * @param labels  [B, T] i32, ids of the vocabulary; negative ones, such as `IGNORED`, are left out
 * @returns       [1]; NaN where no label counts
 * @throws ShapeError when labels do not have the shape of ids
 * Source: transformers, loss/loss_utils.py.
 */
export function languageLoss(model: LanguageModel, ids: Tensor, labels: Tensor): Tensor<'f32'> {
  expectDType('languageLoss', 'labels', labels, 'i32');
  expect(
    ids.shape.length === 2 && ids.shape.join() === labels.shape.join() && ids.shape[1] > 1,
    'languageLoss',
    'ids and labels must be [B, T] with T of at least 2',
    `ids [${ids.shape}] and labels [${labels.shape}]`,
  );
  return tidy([ids, labels], (ids, labels) => {
    const [B, T] = ids.shape;
    // The last token of a row predicts nothing that is known.
    const h = model.decode(model.embed(slice(ids, { axis: 1, length: T - 1 })));
    const wanted = slice(labels, { axis: 1, start: 1, length: T - 1 }).reshape([B * (T - 1), 1]);
    const logits = linear(h.reshape([B * (T - 1), model.config.width]), model.head);
    const counts = cast(greaterEqual(wanted, 0), 'f32');
    const picked = gather(logSoftmax(logits), maximum(wanted, 0), { axis: 1 });
    return neg(div(sum(mul(picked, counts)), sum(counts))).reshape([1]);
  });
}
