import { test } from 'uvu';
import { randomBits, randomNormal, randomUniform } from '../../engine/ops/random.ts';
import { Random, threefry2x32 } from '../../engine/tensor/random.ts';
import { compare, engine, TOLERANCE, tensor, throws } from '../harness.ts';
import { erf } from '../reference/gelu.ts';
import { boxMuller, kolmogorovSmirnov, threefry, words } from '../reference/random.ts';

const normalCdf = (x: number) => (1 + erf(x / Math.SQRT2)) / 2;

/** The distance that a sample of n exceeds with probability 1e-3; the samples are fixed, so nothing is flaky. */
const distance = (n: number) => 1.95 / Math.sqrt(n);

function moments(sample: Float64Array): { mean: number; variance: number } {
  const mean = sample.reduce((total, x) => total + x, 0) / sample.length;
  return { mean, variance: sample.reduce((total, x) => total + (x - mean) ** 2, 0) / sample.length };
}

test('random: threefry2x32 gives the known answers of Random123', () => {
  const answers: [[number, number], [number, number], [number, number]][] = [
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x243f6a88, 0x85a308d3],
      [0x13198a2e, 0x03707344],
      [0xc4923a9c, 0x483df7a0],
    ],
  ];
  for (const [counter, key, want] of answers) {
    compare('host', threefry2x32(counter, key), want, TOLERANCE.exact);
    const big = threefry([BigInt(counter[0]), BigInt(counter[1])], [BigInt(key[0]), BigInt(key[1])]);
    compare('twin', big, want, TOLERANCE.exact);
  }
});

test('random: the bits of the GPU are those of the host and of the twin', async () => {
  using scope = engine.scope();
  const like = tensor([0], [1], { scope });
  for (const [seed, stream] of [
    [0, 0],
    [1, 0],
    [0, 1],
    [0x13198a2e, 0x03707344],
    [0xffffffff, 0xffffffff],
  ])
    for (const n of [1, 2, 127, 128, 1031]) {
      const got = await randomBits(like, [n], { seed, stream }).data();
      const host = new Random(seed, stream);
      compare(
        'host',
        got,
        Uint32Array.from({ length: n }, () => host.bits()),
        TOLERANCE.exact,
      );
      compare('twin', got, words(n, seed, stream), TOLERANCE.exact);
    }
});

test('random: uniform numbers are the upper 24 bits of the words, scaled', async () => {
  using scope = engine.scope();
  const like = tensor([0], [1], { scope });
  const want = words(1001, 7, 3).map((word) => Math.floor(word / 256) / 2 ** 24);
  compare('[0, 1)', await randomUniform(like, [1001], { seed: 7, stream: 3 }).data(), want, TOLERANCE.exact);
  const scaled = await randomUniform(like, [7, 143], { seed: 7, stream: 3, low: -2, high: 6 }).data();
  compare(
    '[-2, 6)',
    scaled,
    want.map((u) => 8 * u - 2),
  );
});

test('random: normal numbers are those of Box and Muller', async () => {
  using scope = engine.scope();
  const drawn = words(1002, 5, 0);
  const want = Array.from({ length: 501 }, (_, b) => boxMuller(drawn[2 * b], drawn[2 * b + 1])).flat();
  const y = randomNormal(tensor([0], [1], { scope }), [1001], { seed: 5, mean: 1, std: 0.5 });
  // cos and sin are allowed an error of 2^-11 in [-pi, pi], log one of 2^-21 near 1.
  compare(
    'y',
    await y.data(),
    want.slice(0, 1001).map((z) => 1 + 0.5 * z),
    { abs: 2e-3, rel: 0 },
  );
});

test('random: moments and distribution of 2^18 numbers, on the GPU', async () => {
  using scope = engine.scope();
  const n = 2 ** 18;
  const like = tensor([0], [1], { scope });
  const uniform = Float64Array.from(await randomUniform(like, [n], { seed: 11 }).data());
  const normal = Float64Array.from(await randomNormal(like, [n], { seed: 12 }).data());
  compare('uniform', [moments(uniform).mean, moments(uniform).variance], [1 / 2, 1 / 12], {
    abs: 2e-3,
    rel: 0,
  });
  compare('normal', [moments(normal).mean, moments(normal).variance], [0, 1], { abs: 8e-3, rel: 0 });
  compare('uniform distance', [kolmogorovSmirnov(uniform, (x) => x)], [0], { abs: distance(n), rel: 0 });
  compare('normal distance', [kolmogorovSmirnov(normal, normalCdf)], [0], { abs: distance(n), rel: 0 });
});

test('random: moments and distribution of 2^16 numbers, on the host', () => {
  const n = 2 ** 16;
  const source = new Random(3);
  const uniform = Float64Array.from({ length: n }, () => source.uniform());
  const normal = Float64Array.from({ length: n }, () => source.normal());
  compare('uniform', [moments(uniform).mean, moments(uniform).variance], [1 / 2, 1 / 12], {
    abs: 4e-3,
    rel: 0,
  });
  compare('normal', [moments(normal).mean, moments(normal).variance], [0, 1], { abs: 2e-2, rel: 0 });
  compare('uniform distance', [kolmogorovSmirnov(uniform, (x) => x)], [0], { abs: distance(n), rel: 0 });
  compare('normal distance', [kolmogorovSmirnov(normal, normalCdf)], [0], { abs: distance(n), rel: 0 });
});

test('random: integers cover their range evenly, a shuffle keeps the elements', () => {
  const source = new Random(9);
  const counts = new Float64Array(7);
  for (let k = 0; k < 70_000; k++) counts[source.integer(7)]++;
  compare('counts', counts, Array(7).fill(10_000), { abs: 400, rel: 0 });
  const order = source.shuffle(Array.from({ length: 101 }, (_, i) => i));
  compare(
    'elements',
    [...order].sort((a, b) => a - b),
    Array.from({ length: 101 }, (_, i) => i),
    TOLERANCE.exact,
  );
  compare('moved', [Number(order.some((value, i) => value !== i))], [1]);
});

test('random: a range is the unit interval, scaled', () => {
  const [source, unit] = [new Random(6, 1), new Random(6, 1)];
  const got = Float64Array.from({ length: 101 }, () => source.range(-3, 5));
  compare(
    '[-3, 5)',
    got,
    Float64Array.from({ length: 101 }, () => 8 * unit.uniform() - 3),
    TOLERANCE.exact,
  );
});

test('random: a restored state goes on where it was taken, at odd and even words', () => {
  for (const before of [0, 1, 2, 5]) {
    const source = new Random(21, 4);
    for (let k = 0; k < before; k++) source.bits();
    const state = JSON.parse(JSON.stringify(source.state()));
    const want = [source.bits(), source.uniform(), source.normal(), source.integer(1000)];
    const other = new Random(0).restore(state);
    compare(
      'numbers',
      [other.bits(), other.uniform(), other.normal(), other.integer(1000)],
      want,
      TOLERANCE.exact,
    );
  }
});

test('random: forks depend on their number, not on what was drawn', () => {
  const source = new Random(1);
  const first = source.fork(0).bits();
  source.normal();
  compare('again', [source.fork(0).bits()], [first], TOLERANCE.exact);
  const others = [
    source.fork(1).bits(),
    new Random(1).bits(),
    new Random(1, 1).bits(),
    new Random(2).fork(0).bits(),
  ];
  compare('others', [others.indexOf(first)], [-1]);
});

test('random: no element, an engine instead of a tensor, and more workgroups than a grid dimension holds', async () => {
  using scope = engine.scope();
  const like = tensor([0], [1], { scope });
  compare('empty', await randomUniform(like, [0], { seed: 1 }).data(), []);
  using one = randomBits(engine, [], { seed: 0 });
  compare('one', await one.data(), [0x6b200159], TOLERANCE.exact);
  const n = 65_536 * 128 + 1;
  const last = (await randomBits(like, [n], { seed: 2 }).data()).at(-1)!;
  compare('last', [last], [threefry2x32([65_536 * 64, 0], [2, 0])[0]], TOLERANCE.exact);
});

test('random: says what a seed and a range must be', () => {
  throws(() => new Random(-1), /random: seed must be an integer in \[0, 2\^32\), got -1\./);
  throws(() => new Random(1, 0.5), /random: stream must be an integer in \[0, 2\^32\), got 0\.5\./);
  throws(() => new Random(1).integer(0), /random: integer\(n\) needs an integer n in \[1, 2\^53\), got 0\./);
  throws(() => randomUniform(engine, [1], { seed: 2 ** 32 }), /random: seed must be an integer/);
});

test.run();
