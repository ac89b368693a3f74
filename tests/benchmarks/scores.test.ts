// Scorers of the public benchmarks against values of the suites' own code, and hand-computed ones.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BenchmarkRecord } from '../../ps3/benchmarks/record.ts';
import { anls, editDistance } from '../../ps3/benchmarks/scores/anls.ts';
import { isContained, isExact } from '../../ps3/benchmarks/scores/contained.ts';
import { extractChoice } from '../../ps3/benchmarks/scores/letters.ts';
import { isRelaxedCorrect } from '../../ps3/benchmarks/scores/relaxed.ts';
import { scoreReply, summarize } from '../../ps3/benchmarks/scores/score.ts';
import { normalizeAnswer, vqaAccuracy } from '../../ps3/benchmarks/scores/vqa.ts';

test('scores: answers are normalised as EvalAI does', () => {
  const cases = {
    'The Red Sign.': 'red sign',
    '1,000': '1000',
    '$5.99': '$5.99',
    "it's 3.5": "it 's 3.5",
    'two dogs': '2 dogs',
    'U.S.A.': 'usa',
    'a-b': 'b',
    'e-mail: x@y': 'e mail: x y',
    '10:30 am': '10:30 am',
    none: '0',
    Dont: "don't",
    lets: 'lets',
    "somebody'd": 'somebodyd',
    "shouldn'tve": "shouldn't've",
    "shouldnt've": "shouldn't've",
  };
  for (const [answer, want] of Object.entries(cases)) assert.is(normalizeAnswer(answer), want, answer);
  assert.is(
    normalizeAnswer('x.'.repeat(40)),
    `${'x'.repeat(33)}${'.x'.repeat(7)}.`,
    '32 dots at most are lost',
  );
});

test('scores: VQA accuracy grows by 0.3 with each person who agrees', () => {
  for (const [same, want] of [0, 0.3, 0.6, 0.9, 1, 1].entries()) {
    const answers = Array.from({ length: 10 }, (_, i) => (i < same ? 'The sign.' : `other ${i}`));
    assert.ok(Math.abs(vqaAccuracy(answers, 'sign') - want) < 1e-12, `${same} of ten`);
  }
});

test('scores: ANLS is that of both suites, by raw lengths in code points', () => {
  const cases: [string, string, number][] = [
    ['1996-Mar-18', '1996-mar-18', 1],
    ['0.28', '0.23', 0.75],
    ['New York', 'new  york ', 1],
    ['abcd', 'abxy', 0.5],
    ['abcd', 'axyz', 0],
    ['straße', 'strasse', 5 / 7],
    ['', '', 1],
  ];
  for (const [answer, prediction, want] of cases)
    assert.ok(Math.abs(anls([answer], prediction) - want) < 1e-12, `${answer}, ${prediction}`);
  assert.is(anls(['wrong', '0.28'], '0.23'), 0.75, 'the best of several answers');
  assert.is(editDistance('😀a', '😀b'), 1, 'code points, not halves of them');
  assert.is(editDistance('kitten', 'sitting'), 3);
});

test('scores: relaxed accuracy reads numbers as Python does', () => {
  const cases: [string, string, boolean][] = [
    ['104', '100', true],
    ['106', '100', false],
    ['45%', '0.45', true],
    ['45%', '45', false],
    ['0', '0', true],
    ['0.0', '0', false],
    ['Yes', 'yes', true],
    ['1,000', '1000', false],
    ['-95', '-100', true],
    ['nan', '5', false],
    [' 5', '5', true],
    ['1_000', '1000', true],
    ['0x64', '100', false],
    ['', '0', false],
  ];
  for (const [prediction, target, want] of cases)
    assert.is(isRelaxedCorrect(prediction, target), want, `${prediction}, ${target}`);
});

test('scores: one strict extractor names an option or none', () => {
  const options = ['red', 'light switch', '72A', 'none'];
  const cases: [string, number | undefined][] = [
    ['B', 1],
    ['(B)', 1],
    ['B.', 1],
    ['The answer is B.', 1],
    ['Answer: C', 2],
    ['a light switch', 1],
    ['72A', 2],
    ['b', 1],
    ['', undefined],
    ['I think D because A is wrong', undefined],
    ['The best answer is: (D)', 3],
    ['Option A, no, the answer is C', 2],
    ['the answer is a light switch', 1],
    ['E', undefined],
    ['red or light switch', undefined],
    ['a hundred', undefined],
  ];
  for (const [reply, want] of cases) assert.is(extractChoice(reply, options), want, JSON.stringify(reply));
  assert.is(extractChoice('Dark red.', ['red', 'dark red']), 1, 'a reply that is an option names it');
});

test('scores: OCRBench looks for an answer in the reply, in formulas without blanks', () => {
  assert.is(isContained(['Main St'], ' 12 MAIN\nST west'), true);
  assert.is(isContained(['Main St'], 'Mainst'), false);
  assert.is(isContained(['x ^ 2'], 'so x^ 2 it is', { isFormula: true }), true);
  assert.is(isContained(['X ^ 2'], 'x^2', { isFormula: true }), false, 'case counts in formulas');
  assert.is(isContained(['A1'], 'Ａ１'), false);
  assert.is(isContained(['A1'], 'Ａ１', { foldFullWidth: true }), true);
});

test('scores: RealWorldQA compares whole replies but for case and a dot', () => {
  assert.is(isExact(['Yes'], 'yes.'), true);
  assert.is(isExact(['Yes'], 'yes, it is'), false);
});

const record = (change: Partial<BenchmarkRecord>): BenchmarkRecord => ({
  ...{ id: '0', image: 'a.png', width: 200, height: 100, question: 'Which?', group: 'a' },
  ...{ options: ['red', 'green'], answer: 0, metric: 'choice' as const },
  ...change,
});

test('scores: the losses of the options decide without a text, and a refusal is wrong', () => {
  assert.is(scoreReply(record({}), { losses: [1.5, 2] }).value, 1);
  assert.is(scoreReply(record({ answer: 1 }), { losses: [2, 2] }).value, 0, 'of equal losses the first');
  const refused = scoreReply(record({}), { reply: 'I cannot tell' });
  assert.equal([refused.value, refused.isRefused], [0, true]);
  const point = record({ metric: 'point', answer: [], boxes: [[20, 10, 40, 30]] });
  assert.is(scoreReply(point, { point: [0.2, 0.3] }).value, 1, 'an edge is inside');
  assert.is(scoreReply(point, { point: [0.21, 0.3] }).value, 0);
});

test('scores: rotations are averaged each, questions are not averaged by category', () => {
  // Rotation 0 has three questions of which one is right, rotation 1 one that is right.
  const asked = [
    { cycle: 0, category: 'single', reply: 'A' },
    { cycle: 0, category: 'single', reply: 'B' },
    { cycle: 0, category: 'cross', reply: '?' },
    { cycle: 1, category: 'cross', reply: 'A' },
  ].map(({ reply, ...change }) => scoreReply(record(change), { reply }));
  const score = summarize(asked);
  assert.ok(Math.abs(score.all.mean - (1 / 3 + 1) / 2) < 1e-12);
  assert.equal(score.groups, { single: { count: 2, mean: 0.5 }, cross: { count: 2, mean: 0.5 } });
  assert.is(score.refusalRate, 0.25);
  const plain = summarize(
    [1, 1, 1, 0].map((answer, i) =>
      scoreReply(record({ answer, category: i < 3 ? 'Perception' : 'Reasoning', subcategory: 'OCR' }), {
        reply: 'B',
      }),
    ),
  );
  assert.is(plain.all.mean, 0.75);
  assert.equal(plain.groups['Reasoning / OCR'], { count: 1, mean: 0 });
});

test.run();
