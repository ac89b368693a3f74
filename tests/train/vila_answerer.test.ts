// A VILA-HD that is asked a benchmark: its scores are likelihoods, and an image is glanced at once.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeImage } from '../../ps3/model/image.ts';
import { VilaAnswerer } from '../../ps3/train/evaluation/choices/vila_answerer.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { writeTinyVila } from '../app/tiny_vila.ts';
import { engine } from '../harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'ps3-answerer-'));
test.after(() => rm(folder, { recursive: true }));

test('VilaAnswerer: scores of options after a look, and one glance for an image', async () => {
  await writeTinyVila(engine, folder);
  using model = await VilaModel.load(engine, join(folder, 'model'));
  const path = join(folder, 'photo.png');
  const options = ['red', 'green', 'blue'];
  const question = 'Which colour?';
  const { liveTensors } = engine.stats();
  {
    using answerer = new VilaAnswerer(model, 'tiny', { looks: 2 });
    assert.is(answerer.name, 'tiny 2 looks');
    const scores = await answerer.answer(path, { question, options });
    using seen = model.see(await decodeImage(path));
    using look = await model.lookFor(question, seen, { looks: 2 });
    assert.equal(scores, await model.likelihoods(question, options, look));
    assert.is(await answerer.see(path), await answerer.see(path));
    const first = await answerer.see(path);
    assert.is.not(await answerer.see(await decodeImage(path)), first);
  }
  assert.is(engine.stats().liveTensors, liveTensors, 'nothing is left');
});

test.run();
