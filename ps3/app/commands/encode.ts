// `ps3 encode`.
import type { Region } from '../../model/region.ts';
import type { Transport } from '../../ranks/transport.ts';
import { encodeImages } from '../encode.ts';
import { type Command, command, numbers, on, oneOf, text, UsageError, type Values, whole } from '../flags.ts';
import { withEngine } from './engine.ts';

const ENCODE = {
  run: text('<dir>', 'Run folder whose checkpoint to use; default: nano-4k, the small model of this package'),
  checkpoint: text('<place>', 'Checkpoint: a folder, an http(s) address or hf://owner/name'),
  storage: oneOf(
    ['f32', 'f16', 'bf16', 'stored'],
    'How matrices are kept: f32, f16, bf16 or stored; default f32',
  ),
  prompt: text('<text>', 'What to look for; without it, salient things'),
  looks: whole('Looks of a full budget each; default 1', 0),
  tokens: whole('Patches in total, instead of --looks'),
  all: on('Cover every patch'),
  box: numbers('<l,t,r,b>', 'Where to look instead of a prompt, in fractions of the image'),
  point: numbers('<x,y>', 'The same for a point'),
  orient: on('Rotate images as their EXIF orientation says'),
  'hidden-states': whole('Also write the outputs of the last n blocks'),
  format: oneOf(['safetensors', 'npy'], 'safetensors or npy; default safetensors'),
  out: text('<dir>', 'Folder to write; default .'),
  resume: on('Leave out images whose features are in the folder already'),
};

async function encodeFiles(
  values: Values<typeof ENCODE>,
  images: readonly string[],
  transport: Transport,
): Promise<number> {
  const { all, box, point, 'hidden-states': hiddenStates, out = '.', ...rest } = values;
  for (const group of [
    ['run', 'checkpoint'],
    ['all', 'looks', 'tokens'],
    ['prompt', 'box', 'point'],
  ] as const) {
    const given = group.filter((name) => values[name] !== undefined);
    if (given.length > 1)
      throw new UsageError(
        `encode: --${group.join(', --')} exclude each other, got --${given.join(' and --')}. Pass one.`,
      );
  }
  const region: Region | undefined = box
    ? { box: [box[0], box[1], box[2], box[3]] }
    : point && { point: [point[0], point[1]] };
  const looks = all ? 'all' : values.looks;
  return withEngine(
    (engine) => encodeImages(engine, { ...rest, images, region, looks, hiddenStates, out, transport }),
    { transport },
  );
}

/** Encodes images. */
export const encodeCommand: Command = command({
  name: 'encode',
  operands: '[...images]',
  help: 'Features, selection maps and heat maps of images',
  flags: ENCODE,
  hasRanks: true,
  run: encodeFiles,
});
