// `ps3 device`.

import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type Certificate,
  certify,
  Engine,
  formatCertificate,
  type MatmulShape,
  makeFolder,
  onPath,
} from '../../../engine/index.ts';
import { DEVICE_FILES } from '../device_cache.ts';
import { readDeviceRecord, writeDeviceRecord } from '../device_records.ts';
import { type Command, command, on, text, type Values } from '../flags.ts';
import { ProgressBar } from '../progress.ts';

const DEVICE = {
  json: text('<file>', 'Also write the certificate as JSON'),
  tune: on('Measure which kernel is fastest for the products of the models'),
};

/** Tokens of a low-res pass and of a look, width, and width of the MLP. */
const NANO_4K = { rows: [729, 360], C: 96, F: 384 };
const PS3_4K = { rows: [729, 2560], C: 1152, F: 4304 };

/** Products of the layers of the encoders, those of PS3-4K where they take no minutes. */
function productsOf({ isSoftware }: Engine): MatmulShape[] {
  return (isSoftware ? [NANO_4K] : [NANO_4K, PS3_4K]).flatMap(({ rows, C, F }) =>
    rows.flatMap((M) =>
      [
        { N: 3 * C, K: C },
        { N: C, K: C },
        { N: F, K: C },
        { N: C, K: F },
      ].map((product) => ({ M, ...product, transposeB: true })),
    ),
  );
}

async function certifyDevice({ json, tune }: Values<typeof DEVICE>): Promise<number> {
  // Without what is known, so that a kernel that failed under another driver has another chance.
  const engine = await Engine.create({ tier: 3, profile: true });
  try {
    for (const warning of engine.warnings) console.error(warning);
    const known = await readDeviceRecord(DEVICE_FILES, { adapterName: engine.adapterName, tier: 0 });
    const bar = new ProgressBar();
    const certificate = await certify(engine, {
      ...DEVICE_FILES.program,
      tune: tune ? productsOf(engine) : [],
      tuning: known?.tuning,
      onProgress: (what, done, all) => bar.update(what, done, all),
    });
    bar.stop();
    console.log(formatCertificate(certificate).trimEnd());
    if (json) await writeJson(json, certificate);
    const kept = await writeDeviceRecord(DEVICE_FILES, certificate);
    console.error(
      typeof kept === 'string'
        ? `kept for the other commands in ${kept}`
        : `not kept for the other commands: ${kept.message}`,
    );
    return 0;
  } finally {
    engine.destroy();
  }
}

async function writeJson(path: string, certificate: Certificate): Promise<void> {
  await makeFolder(dirname(path));
  await onPath(path, () => writeFile(path, `${JSON.stringify(certificate, undefined, 1)}\n`));
}

/** Proves and times the kernels of this machine's adapter. */
export const deviceCommand: Command = command({
  name: 'device',
  operands: '',
  help: 'Prove and time the kernels on this device: a certificate, by which all commands plan from then on',
  flags: DEVICE,
  run: certifyDevice,
});
