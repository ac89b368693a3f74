// The benchmark of small text: options, camera and reader, each beside what is known of it from elsewhere.
import { en, Faker } from '@faker-js/faker';
import { createCanvas, GlobalFonts } from '@napi-rs/canvas';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../engine/index.ts';
import type { Question } from '../../ps3/benchmarks/build/ask.ts';
import { blindRules, blindShare } from '../../ps3/benchmarks/build/blind.ts';
import { photograph } from '../../ps3/benchmarks/build/camera.ts';
import { confusables, optionsOf } from '../../ps3/benchmarks/build/confusable.ts';
import { closestOption, constructedRung, type Legend, Reader } from '../../ps3/benchmarks/build/reader.ts';
import { npmFont } from '../../ps3/data/packages.ts';

const differences = (a: string, b: string): number =>
  a.length === b.length ? Array.from(a).filter((glyph, i) => glyph !== b[i]).length : Infinity;

test('optionsOf: the answer once and at every place as often, another one glyph away, none twice', () => {
  const places = [0, 0, 0, 0];
  const draws = 400;
  for (let seed = 0; seed < draws; seed++) {
    const { options, answer } = optionsOf('B38', ['771', '12345', '904', 'B38'], new Random(seed))!;
    assert.is(options[answer], 'B38');
    assert.is(new Set(options).size, 4);
    assert.ok(
      options.some((option) => differences(option, 'B38') === 1),
      options.join(' '),
    );
    places[answer]++;
  }
  // Chi-square with three degrees of freedom: 16.3 is exceeded once in a thousand.
  assert.ok(places.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0) < 16.3, places.join(' '));
  assert.is(optionsOf('?', ['!'], new Random(1)), undefined);
  assert.ok(confusables('8').includes('6') && !confusables('8').includes('8'));
});

test('optionsOf: distances between the options are the same from each: none is told as the middle of the others', () => {
  for (let seed = 0; seed < 200; seed++)
    for (const [text, others] of [
      ['8136', []],
      ['NR 577 ZK', ['JK 408 BS']],
      ['16:17', ['22:29', '11:45']],
    ] as const) {
      const { options } = optionsOf(text, others, new Random(seed))!;
      const nearest = options.map((option) =>
        Math.min(...options.filter((other) => other !== option).map((other) => differences(option, other))),
      );
      assert.equal(nearest, [1, 1, 1, 1], options.join(' '));
    }
});

test('optionsOf: of words each option is one, and the best spelt is right no more often than by chance', () => {
  const faker = new Faker({ locale: [en], seed: 5 });
  const words = new Set(
    [
      ...en.word!.noun!,
      ...en.word!.adjective!,
      ...Object.values(en.person!.first_name!).flat(),
      ...en.person!.last_name!.generic!,
    ]
      .concat(en.word!.verb!, en.location!.city_name!)
      .flatMap((entry) => entry.toLowerCase().split(/[^a-z]+/)),
  );
  const questions: Pick<Question, 'options' | 'answer' | 'subcategory' | 'question'>[] = [];
  for (let seed = 0; seed < 600; seed++) {
    const texts = Array.from({ length: 12 }, () =>
      seed % 2 === 0 ? `${faker.word.adjective()} ${faker.word.noun()}` : faker.person.firstName(),
    );
    const made = optionsOf(texts[0], texts.slice(1), new Random(seed));
    if (!made) continue;
    for (const option of made.options)
      for (const word of option.toLowerCase().match(/[a-z]{3,}/g) ?? [])
        assert.ok(words.has(word), `${word} of ${option} is no word`);
    questions.push({ ...made, subcategory: 'made', question: '?' });
  }
  assert.ok(questions.length > 400, String(questions.length));
  const { spelt } = blindRules(questions);
  const right = questions.reduce((sum, question) => sum + blindShare(spelt, question), 0) / questions.length;
  // Four standard deviations of a share of a quarter.
  assert.ok(Math.abs(right - 0.25) < 4 * Math.sqrt(0.1875 / questions.length), String(right));
});

test('confusables: a figure is taken for another as often as that for it, so that neither is the likelier original', () => {
  const count = new Map<string, number>();
  for (let number = 1000; number < 10000; number++)
    for (const other of confusables(String(number))) {
      const key = `${number} ${other}`;
      count.set(key, (count.get(key) ?? 0) + 1);
    }
  assert.ok(count.size > 60_000, String(count.size));
  for (const [key, times] of count) assert.is(count.get(key.split(' ').toReversed().join(' ')), times, key);
});

test('optionsOf: who learns from half of the questions which figures are right knows nothing of the other half', () => {
  const random = new Random(11);
  const made = Array.from({ length: 4000 }, () => {
    const text = `${random.integer(2) ? 'LA ' : ''}${100 + random.integer(900)}`;
    return { ...optionsOf(text, [], random)!, subcategory: 'made', question: '?' };
  });
  const rule = blindRules(made).glyphs;
  const right = made.reduce((sum, question) => sum + blindShare(rule, question), 0) / made.length;
  assert.ok(Math.abs(right - 0.25) < 4 * Math.sqrt(0.1875 / made.length), String(right));
  // And it sees what can be learnt.
  const odd = made.map((question) => ({
    ...question,
    options: ['1722', '3566', '8095', '9411'],
    answer: 1,
  }));
  assert.is(blindShare(blindRules(odd).glyphs, odd[0]), 1);
});

test('confusables: a unit stays, a time remains one, and a word has no figure', () => {
  assert.ok(confusables('600 m').every((text) => text.endsWith(' m')));
  assert.ok(confusables('16:17').every((text) => /^(1\d|0\d|2[0-3]):[0-5]\d$/.test(text)));
  assert.equal(confusables('Soft Ball'), []);
  assert.equal(confusables('LA 0 X').length, 2);
  // A number that begins with 0 is never the answer.
  assert.ok(confusables('9172').every((text) => !text.startsWith('0')));
});

test('constructedRung: the sizes of the specification', () => {
  // Cap height at 3780: 8 needs 3780, 10 needs 3024, 12 to 16 need 2268 or a little more, 20 needs 1512.
  assert.equal(
    [8, 10, 13.4, 20, 40].map((cap) => constructedRung(cap, 3780, 8)),
    [3780, 3024, 2268, 1512, 756],
  );
});

test('closestOption: a tie and nothing read count as wrong', () => {
  const options = ['B38', '838', '771', '904'];
  assert.is(closestOption(' 838\n', options), 1);
  assert.is(closestOption('X38', options), undefined);
  assert.is(closestOption(' \n', options), undefined);
});

test('photograph: noise as asked, the mean by gain and gamma, sharp edges blurred', async () => {
  const [width, height] = [256, 256];
  const grey = await sharp({ create: { width, height, channels: 3, background: { r: 100, g: 100, b: 100 } } })
    .png()
    .toBuffer();
  const exposure = { blurPx: 0.5, noise: 2, gain: 0.95, gamma: 1.05, quality: 100 };
  const taken = await photograph(grey, exposure, new Random(3));
  const { data } = await sharp(taken).raw().toBuffer({ resolveWithObject: true });
  const mean = data.reduce((sum, level) => sum + level, 0) / data.length;
  const expected = 255 * 0.95 * (100 / 255) ** 1.05;
  assert.ok(Math.abs(mean - expected) < 0.5, `${mean} beside ${expected}`);
  const deviation = Math.sqrt(data.reduce((sum, level) => sum + (level - mean) ** 2, 0) / data.length);
  const noise = 2 * Math.sqrt(1 + expected / 255);
  assert.ok(Math.abs(deviation - noise) < 0.25, `${deviation} beside ${noise}`); // rounding and JPEG add a little
});

test('Reader: reads what is large enough, and says from where on', async () => {
  await using reader = await Reader.open();
  // Letters of 8 and of 40 pixels, dark on light and light on dark, in a font that no system needs to have.
  const { name, path } = await npmFont('fira-sans', () => undefined);
  GlobalFonts.registerFromPath(path, name);
  const canvas = createCanvas(1512, 600);
  const context = canvas.getContext('2d');
  const paint = (colour: string, x: number, y: number, width: number, height: number): void => {
    context.fillStyle = colour;
    context.fillRect(x, y, width, height);
  };
  const write = (text: string, y: number, capPx: number, colour: string): void => {
    context.font = `100px ${name}`;
    context.font = `${(100 * capPx) / context.measureText('H').actualBoundingBoxAscent}px ${name}`;
    context.fillStyle = colour;
    context.fillText(text, 100, y);
  };
  paint('white', 0, 0, 1512, 600);
  paint('#203040', 90, 400, 400, 80);
  write('KX81-205', 200, 8, 'black');
  write('BOAT 17', 300, 40, 'black');
  write('RIVER 5', 460, 40, '#ffe080');
  const image = canvas.toBuffer('image/png');
  const legend = (y: number, capPx: number, options: readonly string[]): Legend => ({
    box: [98, y - capPx - 3, 98 + capPx * 1.1 * options[0].length, y + 3],
    ...{ capPx, options, answer: 0 },
  });
  const rungs = await reader.rungs({ image, width: 1512, height: 600 }, [
    legend(200, 8, ['KX81-205', 'KX31-205', 'KX81-265', 'RT44-190']),
    legend(300, 40, ['BOAT 17', 'GOAT 17', 'BOAT 11', 'BOOT 17']),
    legend(460, 40, ['RIVER 5', 'RIVER 6', 'RIVEN 5', 'RAVER 5']),
    legend(460, 40, ['NEVER 9', 'RIVER 6', 'RIVEN 5', 'RAVER 5']),
  ]);
  assert.ok(rungs[0]! > 756, `8 pixels at 1512 are 4 at 756: ${rungs[0]}`);
  assert.ok(rungs[1]! <= 756 && rungs[2]! <= 756, `${rungs}`);
  assert.is(rungs[3], undefined); // what does not stand there is never read
});

test.run();
