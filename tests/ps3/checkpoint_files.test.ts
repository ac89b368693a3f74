// Where the files of a checkpoint come from. The oracle of a loaded weight is the number that was written.
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PS3 } from '../../ps3/model/ps3.ts';
import { Tokenizer } from '../../ps3/model/text/tokenizer.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';
import { clear, folder, messageOf, root, wanted, weightsOf } from './written_checkpoint.ts';

test.after(clear);

/** Serves the checkpoint's folder; counts requests and bytes. */
async function serve(
  prefix: string,
  ranges: boolean,
): Promise<{ server: Server; url: string; seen: string[]; sentBytes: () => number }> {
  const seen: string[] = [];
  let sent = 0;
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    const { range } = request.headers;
    seen.push(`${request.method} ${pathname} ${range ?? ''}`.trim());
    const path = join(folder, pathname.slice(prefix.length));
    const info = await stat(path).catch(() => undefined);
    if (!pathname.startsWith(prefix) || !info?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    const bytes = await readFile(path);
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(range ?? '') ?? [];
    const end = Math.min(Number(to ?? Number.POSITIVE_INFINITY), bytes.length - 1);
    const body = ranges && from ? bytes.subarray(Number(from), end + 1) : bytes;
    sent += body.length;
    response.writeHead(ranges && from ? 206 : 200, {
      'content-length': body.length,
      etag: '"1"',
      ...(ranges && from && { 'content-range': `bytes ${from}-${end}/${bytes.length}` }),
    });
    response.end(body);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  return { server, url: `http://127.0.0.1:${port}`, seen, sentBytes: () => sent };
}

test('checkpoint: an address sends ranges of the weights, or, without ranges, whole files', async () => {
  for (const ranges of [true, false]) {
    const { server, url, seen } = await serve('/models/mine/', ranges);
    try {
      using loaded = await PS3.load(engine, `${url}/models/mine`);
      compare('weights', await weightsOf(loaded), wanted, TOLERANCE.exact);
      const weights = seen.filter((line) => line.includes('/model.safetensors') && !line.includes('=0-0'));
      assert.is(weights.length > 3, ranges, seen.join('\n'));
      if (ranges)
        assert.ok(
          weights.every((line) => line.includes('bytes=')),
          weights.join('\n'),
        );
      const lost = await messageOf(PS3.load(engine, `${url}/elsewhere/`));
      assert.match(lost, /PS3.load: http.*elsewhere\/ must hold config.json, got no such file/);
    } finally {
      server.close();
    }
  }
});

test('checkpoint: a repository of a hub at another address, by range', async () => {
  const { server, url, seen } = await serve('/someone/ps3/resolve/v1/', true);
  try {
    using loaded = await PS3.load(engine, 'hf://someone/ps3@v1', { hubUrl: url });
    compare('weights', await weightsOf(loaded), wanted, TOLERANCE.exact);
    assert.ok(
      seen.some((line) => /model.safetensors bytes=\d\d+-/.test(line)),
      seen.join('\n'),
    );
    assert.match(await messageOf(PS3.load(engine, 'hf://ps3')), /must be hf:\/\/owner\/name, got hf:\/\/ps3/);
  } finally {
    server.close();
  }
});

test('checkpoint: a token goes to the hub and nowhere else; a refusal is one sentence', async () => {
  const seen: string[] = [];
  const refuse = async (url: string, { headers }: { headers: Record<string, string> }): Promise<Response> => {
    seen.push(`${url} ${headers.Authorization ?? 'no token'}`);
    return new Response('{"error": "gated"}', { status: 401 });
  };
  const options = { hubUrl: 'http://hub', accessToken: 'hf_x', fetch: refuse };
  assert.is(
    await messageOf(PS3.load(engine, 'hf://a/b@refs/pr/1', options)),
    'PS3.load: http://hub/a/b/resolve/refs%2Fpr%2F1/config.json must be readable, got status 401. ' +
      'A private repository needs accessToken.',
  );
  await messageOf(PS3.load(engine, 'http://elsewhere/a', options));
  assert.equal(seen, [
    'http://hub/a/b/resolve/refs%2Fpr%2F1/config.json Bearer hf_x',
    'http://elsewhere/a/config.json no token',
  ]);
});

test('checkpoint: a published checkpoint names the repository of its vocabulary, which the hub gives', async () => {
  const model = await readFile(new URL('../fixtures/ps3/unigram.model', import.meta.url));
  const published = join(root, 'published');
  await cp(folder, published, { recursive: true });
  await rm(join(published, 'tokenizer.json'));
  await writeFile(join(published, 'tokenizer_config.json'), '{"tokenizer_name": "words/small"}');
  const files = new Map<string, Uint8Array>([['/words/small/resolve/main/tokenizer.model', model]]);
  for (const name of await readdir(published))
    files.set(`/a/b/resolve/main/${name}`, await readFile(join(published, name)));
  const fetchFrom = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const bytes = files.get(new URL(input instanceof Request ? input.url : input).pathname);
    if (!bytes) return new Response(null, { status: 404 });
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get('range') ?? '') ?? [];
    const part = from ? bytes.subarray(Number(from), Number(to) + 1) : bytes;
    const headers = {
      etag: '"1"',
      ...(from && { 'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}` }),
    };
    return new Response(new Uint8Array(part), { status: from ? 206 : 200, headers });
  };
  using loaded = await PS3.load(engine, 'hf://a/b', { hubUrl: 'http://hub', fetch: fetchFrom });
  const want = Tokenizer.fromFiles({ sentencepieceModel: new Uint8Array(model), contextLength: 8 });
  assert.equal(loaded.tokenizer.encode(['a small word']), want.encode(['a small word']));
  const lost = await messageOf(PS3.load(engine, published));
  assert.match(
    lost,
    /must hold tokenizer.json or tokenizer.model or spiece.model, got none. .*hf:\/\/words\/small/,
  );
  const beside = join(root, 'beside');
  await mkdir(beside);
  await writeFile(join(beside, 'spiece.model'), model);
  using given = await PS3.load(engine, published, { tokenizer: beside });
  assert.equal(given.tokenizer.encode(['a small word']), want.encode(['a small word']));
});

test('checkpoint: files in the hand, as a page has them; progress in bytes; a signal ends it', async () => {
  const files: File[] = [];
  for (const name of await readdir(folder)) files.push(new File([await readFile(join(folder, name))], name));
  const steps: number[] = [];
  using loaded = await PS3.load(engine, files, {
    onProgress: (done, all) => steps.push(done / all),
  });
  compare('weights', await weightsOf(loaded), wanted, TOLERANCE.exact);
  assert.is(steps.at(-1), 1);
  assert.ok(steps.every((share, i) => i === 0 || share > steps[i - 1]));
  const before = engine.stats().liveTensors;
  const stop = new AbortController();
  const stopped = PS3.load(engine, files, { signal: stop.signal, onProgress: () => stop.abort() });
  assert.match(await messageOf(stopped), /abort/i);
  assert.is(engine.stats().liveTensors, before, 'nothing is left over');
});

test.run();
