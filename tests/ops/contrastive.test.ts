import { test } from 'uvu';
import { backward, sigmoidContrastive } from '../../engine/index.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
} from '../harness.ts';
import { sigmoidContrastive as twin } from '../reference/contrastive.ts';
import { l2Normalize } from '../reference/l2_normalize.ts';

const unit = (B: number, D: number, seed: number): Float64Array =>
  l2Normalize(random(B * D, seed), D).map(Math.fround);

function check(B: number, D: number, logScale: number, bias: number, classes?: Uint32Array): Promise<void> {
  const positives = classes && tensor(classes, [B]);
  return checkGradients({
    inputs: {
      images: { data: unit(B, D, 1), shape: [B, D] },
      texts: { data: unit(B, D, 2), shape: [B, D] },
      logitScale: { data: Float64Array.of(Math.fround(logScale)), shape: [1] },
      logitBias: { data: Float64Array.of(Math.fround(bias)), shape: [1] },
    },
    op: ({ images, texts, logitScale, logitBias }) =>
      sigmoidContrastive(images, texts, logitScale, logitBias, { positives }),
    twin: ({ images, texts, logitScale, logitBias }) =>
      Float64Array.of(twin(images, texts, logitScale[0], logitBias[0], B, { classes })),
    samples: 6,
  }).finally(() => positives?.dispose());
}

for (const [B, D] of [
  [1, 1],
  [2, 4],
  [7, 33],
  [31, 12],
  [33, 8],
  [65, 20],
  [130, 5],
])
  test(`contrastive: the loss and all gradients match the twin for ${B} pairs of width ${D}`, () =>
    check(B, D, 1.5, -2));

test('contrastive: at the start of training, scale 10 and bias -10', () => check(16, 24, Math.log(10), -10));

test('contrastive: at the scale of a trained model', () => check(16, 24, 4.72, -16.5));

test('contrastive: equal class ids are positive pairs', () =>
  check(
    37,
    8,
    1,
    -0.5,
    Uint32Array.from({ length: 37 }, (_, i) => i % 9),
  ));

for (const [B, T] of [
  [1, 7],
  [9, 4],
  [5, 300],
])
  test(`contrastive: a block of ${B} images and ${T} other texts matches the twin, with classes and without`, async () => {
    const D = 6;
    const ids = (n: number, seed: number) => Uint32Array.from({ length: n }, (_, i) => (i + seed) % 5);
    for (const [classes, textClasses] of [[], [ids(B, 0), ids(T, 2)]]) {
      using positives = classes && tensor(classes, [B]);
      using textPositives = textClasses && tensor(textClasses, [T]);
      const pairs = { diagonal: false, divisor: 40 };
      await checkGradients({
        inputs: {
          images: { data: unit(B, D, 1), shape: [B, D] },
          texts: { data: unit(T, D, 2), shape: [T, D] },
          logitScale: { data: Float64Array.of(1.5), shape: [1] },
          logitBias: { data: Float64Array.of(-2), shape: [1] },
        },
        op: ({ images, texts, logitScale, logitBias }) =>
          sigmoidContrastive(images, texts, logitScale, logitBias, { ...pairs, positives, textPositives }),
        twin: ({ images, texts, logitScale, logitBias }) =>
          Float64Array.of(
            twin(images, texts, logitScale[0], logitBias[0], B, { ...pairs, classes, textClasses }),
          ),
        samples: 6,
      });
    }
  });

test('contrastive: distinct class ids give the same bits as none', async () => {
  using scope = engine.scope();
  const operands = [unit(9, 4, 1), unit(9, 4, 2)].map((rows) => tensor(rows, [9, 4], { scope }));
  const scalars = [1, -1].map((value) => tensor([value], [1], { scope }));
  const positives = tensor(
    Uint32Array.from({ length: 9 }, (_, i) => 8 - i),
    [9],
    { scope },
  );
  const [images, texts] = operands;
  const plain = sigmoidContrastive(images, texts, scalars[0], scalars[1]);
  const labelled = sigmoidContrastive(images, texts, scalars[0], scalars[1], { positives });
  compare('loss', await labelled.data(), await plain.data(), TOLERANCE.exact);
});

test('contrastive: more pairs than a block of the backward pass holds', () => check(523, 4, 1, -3));

test('contrastive: a loss of many small terms keeps six digits', async () => {
  using scope = engine.scope();
  // Every pair is a negative that the model is sure of, apart from the diagonal, which it is sure of too.
  const B = 64;
  const rows = Float64Array.from({ length: B * B }, (_, i) => (i % (B + 1) === 0 ? 1 : 0));
  const [images, texts] = [rows, rows].map((data) => tensor(data, [B, B], { scope }));
  const loss = sigmoidContrastive(
    images,
    texts,
    tensor([Math.log(20)], [1], { scope }),
    tensor([-10], [1], { scope }),
  );
  const want = twin(rows, rows, Math.fround(Math.log(20)), -10, B);
  compare('loss', await loss.data(), [want], { abs: 0, rel: 2e-6 });
});

test('contrastive: logits of hundreds give finite numbers', async () => {
  using scope = engine.scope();
  const leaf = (data: number[], shape: number[]) => tensor(data, shape, { scope, requiresGrad: true });
  const images = leaf([1, 0, 0, 1], [2, 2]);
  const texts = leaf([-1, 0, 0, 1], [2, 2]);
  const logitScale = leaf([Math.log(300)], [1]);
  const logitBias = leaf([0], [1]);
  const loss = sigmoidContrastive(images, texts, logitScale, logitBias);
  compare('loss', await loss.data(), [150 + Math.log(2)], TOLERANCE.f32);
  backward(loss);
  using scaleGradient = logitScale.grad!;
  compare('dlogitScale', await scaleGradient.data(), [150], TOLERANCE.grad);
  for (const { grad } of [images, texts, logitBias]) grad!.dispose();
});

test('contrastive: shuffling the pairs together keeps the loss', async () => {
  using scope = engine.scope();
  const [B, D] = [40, 6];
  const [images, texts] = [unit(B, D, 1), unit(B, D, 2)];
  const turned = (rows: Float64Array) =>
    Float64Array.from([...rows.subarray(7 * D), ...rows.subarray(0, 7 * D)]);
  const lossOf = async (u: Float64Array, v: Float64Array) => {
    const [s, b] = [1.5, -2].map((value) => tensor([value], [1], { scope }));
    return await sigmoidContrastive(tensor(u, [B, D], { scope }), tensor(v, [B, D], { scope }), s, b).data();
  };
  compare('loss', await lossOf(turned(images), turned(texts)), await lossOf(images, texts));
});

test('contrastive: the B x B logits are never stored', () => {
  using scope = engine.scope();
  const [B, D] = [4096, 4];
  const leaf = (data: Float64Array, shape: number[]) => tensor(data, shape, { scope, requiresGrad: true });
  const operands = [leaf(unit(B, D, 1), [B, D]), leaf(unit(B, D, 2), [B, D])];
  const scalars = [leaf(Float64Array.of(1), [1]), leaf(Float64Array.of(-2), [1])];
  engine.resetPeak();
  const before = engine.stats().liveBytes;
  backward(sigmoidContrastive(operands[0], operands[1], scalars[0], scalars[1]));
  const extraBytes = engine.stats().peakBytes - before;
  const most = (engine.gpu.target.kind === 'cpu' ? 0.5 : 2.5) * B * B; // of 4 B B; blocks are larger on a GPU
  if (extraBytes > most) throw new Error(`extra memory: got ${extraBytes} bytes, want at most ${most}`);
  for (const { grad } of [...operands, ...scalars]) grad!.dispose();
});

test('contrastive: the loss and all gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('contrastive')) {
    using scope = engine.scope();
    const get = (key: string) => {
      const { data, shape } = vectors.get(key)!;
      return tensor(data, shape, { scope, requiresGrad: true });
    };
    const leaves = {
      images: get('images'),
      texts: get('texts'),
      logitScale: get('logitScale'),
      logitBias: get('logitBias'),
    };
    const ids = vectors.get('positives');
    const positives = ids && tensor(Uint32Array.from(ids.data), ids.shape, { scope });
    const loss = sigmoidContrastive(leaves.images, leaves.texts, leaves.logitScale, leaves.logitBias, {
      positives,
    });
    compare(`${name} loss`, await loss.data(), vectors.get('loss')!.data);
    backward(loss);
    for (const [key, leaf] of Object.entries(leaves)) {
      using gradient = leaf.grad!;
      compare(`${name} d${key}`, await gradient.data(), vectors.get(`d${key}`)!.data, TOLERANCE.grad);
    }
  }
});

test('contrastive: says what does not fit', () => {
  using scope = engine.scope();
  const images = tensor(random(8, 1), [2, 4], { scope });
  const scalar = tensor([0], [1], { scope });
  const ids = tensor(new Uint32Array(3), [3], { scope });
  throws(
    () => sigmoidContrastive(images, images.reshape([4, 2]), scalar, scalar),
    /^sigmoidContrastive: images and texts must be \[B, D\] and \[T, D\], got images \[2, 4\] and texts \[4, 2\]/,
  );
  throws(
    () => sigmoidContrastive(images, images, scalar, scalar, { divisor: 0 }),
    /^sigmoidContrastive: the divisor must be positive, got 0/,
  );
  throws(
    () => sigmoidContrastive(images, tensor(random(12, 1), [3, 4], { scope }), scalar, scalar),
    /^sigmoidContrastive: there must be one text for each image where the diagonal is positive, got 2 images and 3 texts. Pass diagonal: false/,
  );
  throws(
    () => sigmoidContrastive(images, images, images, scalar),
    /^sigmoidContrastive: logitScale must be \[1\], got \[2, 4\]/,
  );
  throws(
    () => sigmoidContrastive(images, images, scalar, scalar, { positives: ids }),
    /^sigmoidContrastive: positives must be \[2\], got \[3\]/,
  );
  const none = tensor([], [0, 4], { scope });
  throws(
    () => sigmoidContrastive(none, none, scalar, scalar),
    /^sigmoidContrastive: the batch must not be empty/,
  );
});

test.run();
