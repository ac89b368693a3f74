// A run whose device is lost, or has no memory left, ends with the bytes of an undisturbed one, or in a sentence.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDevice } from '../../engine/gpu/adapter.ts';
import { DeviceLostError, Engine } from '../../engine/index.ts';
import { runRecovering } from '../../ps3/app/recovery.ts';
import { runSession } from '../../ps3/app/session.ts';
import { trainConfig } from '../../ps3/train/presets.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import { loggedSteps, traces, writeNoise } from './killed_runs.ts';

const folder = await mkdtemp(join(tmpdir(), 'recovery-'));
const { error } = console;
const said: string[] = [];
test.before(async () => {
  console.error = (line: unknown) => said.push(String(line));
  await writeNoise(folder);
  const engine = await Engine.create();
  await runSession(engine, { out: whole, config });
  engine.destroy();
});
test.before.each(() => {
  said.length = 0;
});
test.after(async () => {
  console.error = error;
  await rm(folder, { recursive: true });
});

const whole = join(folder, 'whole');
const config = trainConfig({
  preset: 'smoke',
  set: [`data.folder=${folder}`, 'towers.steps=2', 'ps3.steps=12', 'saveEvery=4'],
});

type Device = Awaited<ReturnType<typeof openDevice>>['device'];

/** Trains on devices to which something happens once so many steps are logged; as many times as there are numbers. */
async function disturbed(out: string, steps: number[], disturb: (device: Device) => void): Promise<void> {
  const left = [...steps];
  const open = async (): Promise<Engine> => {
    const { device } = await openDevice();
    const at = left.shift();
    const watch = async (): Promise<void> => {
      while ((await loggedSteps(out)) < (at ?? Infinity)) await setTimeout(2);
      disturb(device);
    };
    if (at !== undefined) void watch();
    return Engine.fromDevice(device);
  };
  await runRecovering(await open(), { out, config }, { reopen: open, pausesS: [0, 0, 0] });
  assert.equal(left, []);
}

test('train: a device that is lost twice in the middle of a run changes no byte of it', async () => {
  const run = join(folder, 'lost');
  await disturbed(run, [9, 12], (device) => device.destroy());
  const notices = said.filter((line) => line.includes('opens the device again'));
  assert.is(notices.length, 2, said.join('\n'));
  assert.match(
    notices[0],
    /got lost .*\ntrain: opens the device again and goes on from step 4 of ps3, time 1 of 3\.$/,
  );
  assert.match(notices[1], /goes on from step 8 of ps3, time 1 of 3\.$/);
  assert.equal(await traces(run), await traces(whole));
});

test('train: an allocation that fails in the middle of a run changes no byte of it', async () => {
  const run = join(folder, 'memory');
  // No test may use up the machine's memory: an answer of the driver is replaced.
  const refuse = (device: Device): void => {
    const real = device.popErrorScope.bind(device);
    const refusal = async (): Promise<{ message: string } | null> => {
      Object.assign(device, { popErrorScope: real });
      await real();
      return { message: 'out of memory' };
    };
    Object.assign(device, { popErrorScope: refusal });
  };
  // At the first step of PS3, which makes buffers.
  await disturbed(run, [2], refuse);
  const notices = said.filter((line) => line.includes('opens the device again'));
  assert.is(notices.length, 1, said.join('\n'));
  assert.match(notices[0], /the system must have room for \d+ bytes.*\ntrain: opens the device again/);
  assert.equal(await traces(run), await traces(whole));
});

test('train: a device that fails again and again ends the run with what to do; it can be resumed', async () => {
  const run = join(folder, 'given up');
  let opened = 0;
  const lost = async (): Promise<Engine> => {
    opened++;
    const { device } = await openDevice();
    device.destroy();
    return Engine.fromDevice(device);
  };
  const { device } = await openDevice();
  const watch = async (): Promise<void> => {
    while ((await loggedSteps(run)) < 8) await setTimeout(2);
    device.destroy();
  };
  void watch();
  const failure: unknown = await runRecovering(
    Engine.fromDevice(device),
    { out: run, config },
    { reopen: lost, pausesS: [0, 0.001, 0] },
  ).catch((error: unknown) => error);
  assert.instance(failure, DeviceLostError, String(failure));
  assert.is(opened, 3);
  assert.match(
    String(failure),
    /It was so 4 times in a row after step 4 of ps3\. Close what else uses the GPU .*ps3\.batch shortens it\.$/,
  );
  const { stage, step } = (await new RunFolder(run).recover())!;
  assert.equal([stage, step], ['ps3', 4]);
  const engine = await Engine.create();
  await runSession(engine, { out: run, resume: true });
  engine.destroy();
  assert.equal(await traces(run), await traces(whole));
});

test.run();
