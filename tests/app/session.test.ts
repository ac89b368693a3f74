// What a session takes, for callers other than the command line.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ShapeError } from '../../engine/index.ts';
import { runSession } from '../../ps3/app/session.ts';
import type { SessionOptions } from '../../ps3/app/session_options.ts';
import { PRESETS } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

const config = PRESETS.smoke;

const REFUSED: readonly [SessionOptions, string][] = [
  [{ out: 'nowhere', resume: true, minutes: 1 }, 'got minutes. Leave it out.'],
  [{ out: 'nowhere', resume: true, config }, 'got config. Leave it out.'],
  [{ out: 'nowhere', resume: true, config, minutes: 1 }, 'got config and minutes. Leave it out.'],
  [
    { out: 'nowhere', config, set: ['saveEvery=1'] },
    'a new run must have no set, got saveEvery=1. Change its config.',
  ],
  [{ out: 'nowhere' }, 'a new run must have a config, got none.'],
];

for (const [options, message] of REFUSED)
  test(`runSession: ${Object.keys(options).join(', ')}: ${message}`, async () => {
    const error: unknown = await runSession(engine, options).catch((error: unknown) => error);
    assert.instance(error, ShapeError, String(error));
    assert.match((error as ShapeError).message, 'runSession: ');
    assert.ok((error as ShapeError).message.endsWith(message), String(error));
  });

test.run();
