// Questions of the study: their options, what they need, and that nothing of training is asked about.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LADDER, LEAST_PX } from '../../../bench/study/design.ts';
import { expectNoLeak, leastRung, questionsOf } from '../../../bench/study/questions.ts';
import type { Sample } from '../../../ps3/data/annotations.ts';
import { throws } from '../../harness.ts';

/** A scene of objects of some sides, each in a place of its own. */
const scene = (
  key: string,
  captions: string[],
  sides: number[],
  photo?: string,
): Sample & { photo?: string } => ({
  ...{ key, side: 224, rgba: new Uint8Array(0), captions, globalCaption: undefined, photo },
  boxes: sides.map((side, i) => [50 * i, 10, 50 * i + side, 10 + side + 3]),
});

const SCENES = [
  scene('a', ['fox', 'key', 'cap', 'bus', 'owl'], [12, 20, 30, 40, 14]),
  scene('b', ['fox', 'fox', 'cup'], [13, 22, 34]),
  ...Array.from({ length: 60 }, (_, i) => scene(`c${i}`, ['ant', 'bee', 'cow', 'dog'], [16, 24, 36, 48])),
];

test('questions: the right caption is among four different ones, the others from the same scene where it has them', () => {
  const questions = questionsOf(SCENES, 1000, 3);
  assert.is(questions.length, 4 + 3 + 240);
  for (const { image, box, options, answer } of questions) {
    const { boxes, captions } = SCENES[image];
    assert.is(options[answer], captions[boxes.indexOf(box)]);
    assert.is(options.length, 4);
    assert.is(new Set(options).size, 4, 'no option twice');
    const own = new Set(captions).size;
    assert.is(options.filter((option) => captions.includes(option)).length, Math.min(4, own));
  }
});

test('questions: a wrong option that fills up is nowhere in the scene, and equal captions are one', () => {
  const [first, second] = questionsOf([SCENES[1], SCENES[0]], 2, 3);
  for (const { options } of [first, second]) {
    assert.is(options.filter((option) => option === 'fox').length, 1);
    assert.ok(options.includes('cup'));
  }
});

test('questions: the right answer is at every place about equally often, and the seed decides where', () => {
  const questions = questionsOf(SCENES, 1000, 3);
  const counts = [0, 1, 2, 3].map((place) => questions.filter(({ answer }) => answer === place).length);
  assert.ok(
    counts.every((count) => count > 40 && count < 85),
    `${counts}`,
  );
  assert.equal(questionsOf(SCENES, 1000, 3), questions);
  assert.not.equal(questionsOf(SCENES, 1000, 4), questions);
  assert.is(questionsOf(SCENES, 10, 3).length, 10);
});

test('questions: an object needs the rung at which it has a patch, by hand', () => {
  // 14 / 12 > 1: no rung is enough; 14 / 14 = 1; 14 / 17.5 = 0.8; 14 / 23.4 < 0.6; 14 / 35 = 0.4; 14 / 70 = 0.2.
  for (const [shortPx, rung] of [
    [12, 1],
    [14, 1],
    [17, 1],
    [17.5, 0.8],
    [23, 0.8],
    [23.4, 0.6],
    [35, 0.4],
    [69, 0.4],
    [70, 0.2],
    [140, 0.1],
  ])
    assert.is(leastRung(shortPx), rung, `${shortPx} px`);
  for (const { shortPx, needs, box } of questionsOf(SCENES, 1000, 1)) {
    assert.is(shortPx, box[2] - box[0], 'the shorter side');
    const below = LADDER[LADDER.indexOf(needs as (typeof LADDER)[number]) - 1] ?? 0;
    assert.ok(below * shortPx < LEAST_PX);
  }
});

test('questions: photographs of training are refused', () => {
  const train = [scene('t', ['fox'], [20], 'wall.jpg')];
  expectNoLeak(train, [scene('h', ['fox'], [20], 'sea.jpg')]);
  throws(
    () => expectNoLeak(train, [scene('h', ['fox'], [20], 'wall.jpg')]),
    /^expectNoLeak: photographs of held-out scenes must be none of training, got wall\.jpg\.$/,
  );
  throws(() => expectNoLeak(train, [scene('h', ['fox'], [20])]), /got one without a name\.$/);
});

test.run();
