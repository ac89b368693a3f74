// What --resume may change: nothing that decides what is computed.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ConfigError } from '../../ps3/model/config/config.ts';
import { PRESETS } from '../../ps3/train/presets.ts';
import { CHANGEABLE_KEYS, resumedConfig } from '../../ps3/train/run/resume.ts';
import { RunError } from '../../ps3/train/run.ts';

const config = PRESETS.smoke;

function refusal(...set: string[]): Error {
  try {
    resumedConfig(config, set);
  } catch (error) {
    return error as Error;
  }
  return new Error('nothing was thrown');
}

test('resumedConfig: keys that only decide what is kept and where change, and nothing else with them', () => {
  assert.equal(resumedConfig(config, []), config);
  const set = ['saveEvery=7', 'saveEveryMinutes=null', 'checkpoints.keep=3', 'data.folder=/images'];
  assert.equal(resumedConfig(config, set), {
    ...config,
    saveEvery: 7,
    saveEveryMinutes: null,
    checkpoints: { ...config.checkpoints, keep: 3 },
    data: { ...config.data, folder: '/images' },
  });
});

test('resumedConfig: other keys are refused by name, unless they stay as they are', () => {
  const error = refusal('ps3.lr=5e-6', 'saveEvery=7', 'seed=2', 'data.objects=[1,1]', 'towers.batch=8');
  assert.instance(error, RunError);
  assert.is(
    error.message,
    `resumedConfig: keys that decide the result must stay as the run began, got another seed, data.objects, ps3.lr. Change ${CHANGEABLE_KEYS.join(', ')}, or begin a new run.`,
  );
  assert.instance(refusal('recipe=paper'), RunError);
  assert.equal(resumedConfig(config, [`ps3.lr=${config.ps3.lr}`]), config);
});

test('resumedConfig: a key that does not exist or does not fit is refused as in a new run', () => {
  assert.instance(refusal('saveEvry=7'), ConfigError);
  assert.instance(refusal('checkpoints.keep=0'), ConfigError);
});

test.run();
