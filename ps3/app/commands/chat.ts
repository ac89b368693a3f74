// `ps3 chat`.
import { createInterface, type Interface } from 'node:readline';
import type { Engine } from '../../../engine/index.ts';
import type { ChatMessage } from '../../language/chat.ts';
import type { CheckpointSource } from '../../model/checkpoint/files.ts';
import { decodeImage } from '../../model/image.ts';
import { VilaModel } from '../../vila/vila.ts';
import { type Command, command, on, type Values } from '../flags.ts';
import { drawLook, lookedLine, lookedMap } from '../looked.ts';
import { loadingProgress } from '../progress.ts';
import { withEngine } from './engine.ts';
import { amountOf, placeOf, VILA_FLAGS } from './vila_flags.ts';

const CHAT = {
  ...VILA_FLAGS,
  conversation: on('Ask in one conversation with the questions and answers before; default: each by itself'),
};

const PROMPT = '> ';

/** Says how long something took since `started`. */
const secondsSince = (started: number): string => ((performance.now() - started) / 1000).toFixed(1);

/** Answers each line of standard input: what is said on standard output, where it looked on standard error. */
async function chat(
  engine: Engine,
  place: CheckpointSource,
  values: Values<typeof CHAT>,
  [path]: readonly string[],
): Promise<number> {
  const { storage = 'stored', out, conversation, 'max-tokens': maxTokens } = values;
  const decoded = await decodeImage(path);
  using model = await VilaModel.load(engine, place, { storage, onProgress: loadingProgress() });
  const started = performance.now();
  using seen = model.see(decoded);
  await seen.low.data();
  console.error(
    `${path}: ${decoded.width} x ${decoded.height}, glanced at in ${secondsSince(started)} s. Ask; Ctrl-C ends an answer, and at the prompt the chat.`,
  );

  const messages: ChatMessage[] = [];
  let count = 0;
  const ask = async (question: string, signal: AbortSignal): Promise<void> => {
    const turn = { role: 'user', content: question };
    const asked = conversation ? [...messages, turn] : question;
    const looked = performance.now();
    using look = await model.lookFor(asked, seen, amountOf(values));
    const map = await lookedMap(model, seen, look);
    console.error(`${map === undefined ? '' : `${map}\n`}${lookedLine(look)}, in ${secondsSince(looked)} s`);
    const target = `${out}/${++count}`;
    if (out && (await drawLook(target, decoded, model, seen, look)))
      console.error(`drawn as ${target}.*.png`);
    let said = '';
    try {
      for await (const { text } of model.answer(asked, look, { maxTokens, signal })) {
        process.stdout.write(text);
        said += text;
      }
      if (conversation) messages.push(turn, { role: 'assistant', content: said });
    } catch (error) {
      if (!signal.aborted) throw error;
      console.error(' (ended)');
    } finally {
      process.stdout.write('\n');
    }
  };
  const input = createInterface({
    input: process.stdin,
    output: process.stdin.isTTY ? process.stderr : undefined,
    prompt: PROMPT,
  });
  await converse(input, ask);
  return 0;
}

/** Takes lines one after another; SIGINT ends the answer that is being given, and without one the input. */
async function converse(
  input: Interface,
  ask: (question: string, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  let abort: AbortController | undefined;
  const stop = (): void => {
    if (abort) abort.abort();
    else input.close();
  };
  let isOpen = input.terminal;
  const prompt = (): void => {
    if (isOpen) input.prompt();
  };
  input.once('close', () => {
    isOpen = false;
  });
  input.on('SIGINT', stop); // of a terminal, whose keys the input reads
  process.on('SIGINT', stop);
  try {
    prompt();
    for await (const line of input) {
      const question = line.trim();
      abort = new AbortController();
      if (question !== '') await ask(question, abort.signal);
      abort = undefined;
      prompt();
    }
  } finally {
    process.off('SIGINT', stop);
    input.close();
  }
}

/** Answers questions about an image in the terminal. */
export const chatCommand: Command = command({
  name: 'chat',
  operands: '<image>',
  help: 'Ask a VILA-HD about an image in the terminal, or from a pipe, one question on each line',
  flags: CHAT,
  run: async (values, operands) => {
    const place = placeOf('chat', values);
    return withEngine((engine) => chat(engine, place, values, operands));
  },
});
