// A model of the user's that describes images: a program, or a server that speaks the chat protocol of OpenAI, as llama.cpp's.
// Where there is none, nothing is described: no caption is invented.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DataError } from '../errors.ts';

/**
 * Describes an image, or a part of it.
 *
 * @param image  JPEG
 * @param crop   JPEG of the part to describe; undefined: the whole image
 * @returns      one or two sentences; empty where the model says nothing
 */
export type Captioner = (image: Uint8Array, crop: Uint8Array | undefined) => Promise<string>;

const ASK_IMAGE =
  'Describe this image in two or three sentences: what is there, how things look and how they are placed. Describe only what can be seen.';
const ASK_CROP =
  'The second image is a part of the first one. Describe what the part shows in one or two sentences: all objects, any text word by word, how they look and how they are placed. Describe what is in the foreground, and do not mention what is missing.';
const TIMEOUT_MS = 300_000;

/**
 * @param place  a program with arguments, which is called with the path of the image and, for a part, the path of the part, and
 *               prints the caption; or the address of a chat server, such as http://127.0.0.1:8080/v1/chat/completions
 */
export function captionerOf(place: string): Captioner {
  return /^https?:\/\//.test(place) ? serverCaptioner(place) : programCaptioner(place);
}

function programCaptioner(place: string): Captioner {
  const [program, ...args] = place.trim().split(/\s+/);
  return async (image, crop) => {
    const folder = await mkdtemp(join(tmpdir(), 'ps3-captioner-'));
    try {
      const files = await Promise.all(
        Object.entries({ image, crop }).flatMap(([name, bytes]) =>
          bytes ? [written(join(folder, `${name}.jpg`), bytes)] : [],
        ),
      );
      const options = { timeout: TIMEOUT_MS, maxBuffer: 2 ** 20 };
      const { stdout } = await promisify(execFile)(program, [...args, ...files], options);
      return oneLine(stdout);
    } catch (cause) {
      throw failure(place, cause);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
}

async function written(path: string, bytes: Uint8Array): Promise<string> {
  await writeFile(path, bytes);
  return path;
}

function serverCaptioner(address: string): Captioner {
  return async (image, crop) => {
    const images = [image, ...(crop ? [crop] : [])].map((jpeg) => ({
      type: 'image_url',
      image_url: { url: `data:image/jpeg;base64,${Buffer.from(jpeg).toString('base64')}` },
    }));
    const content = [{ type: 'text', text: crop ? ASK_CROP : ASK_IMAGE }, ...images];
    try {
      const answer = await fetch(address, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages: [{ role: 'user', content }], temperature: 0, max_tokens: 200 }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const { choices } = (await answer.json()) as { choices?: { message?: { content?: unknown } }[] };
      const text = choices?.[0]?.message?.content;
      if (typeof text !== 'string') throw new Error('an answer without choices[0].message.content');
      return oneLine(text);
    } catch (cause) {
      throw failure(address, cause);
    }
  };
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

function failure(place: string, cause: unknown): DataError {
  const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
  return new DataError(
    `captionerOf: ${place} must answer with a caption, got: ${reason}. Start it, or mend its address or path.`,
  );
}
