// Serves a folder of static files on this machine, as a host of pages would, with the policy that its index.html states.
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.jpg': 'image/jpeg',
  '.png': 'image/png',
};

/** A running server. */
export interface PageServer {
  /** Where its index.html is. */
  readonly url: string;
  /** Ends it, open connections included. */
  close(): void;
}

/** @param port  default: any that is free */
export async function servePage(folder: string, port = 0): Promise<PageServer> {
  // A worker's policy is not its page's but that of its own response.
  const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(
    await readFile(join(folder, 'index.html'), 'utf8'),
  )?.[1];
  const server: Server = createServer(async (request, response) => {
    if (policy) response.setHeader('content-security-policy', policy);
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('cache-control', 'no-cache');
    await send(folder, request, response).catch((error: Error) => {
      response.writeHead(error instanceof URIError ? 400 : 500).end(error.message);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A file, or the range of it that was asked for. */
async function send(folder: string, { url = '/', headers }: IncomingMessage, response: ServerResponse) {
  // URL resolves every `..`, encoded or not, so that no path leads out of the folder.
  const { pathname } = new URL(`http://localhost${url}`);
  const path = join(folder, decodeURIComponent(pathname === '/' ? '/index.html' : pathname));
  const found = path.startsWith(join(folder, '/')) ? await stat(path).catch(() => undefined) : undefined;
  if (!found?.isFile()) {
    response.writeHead(404).end('no such file');
    return;
  }
  response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
  response.setHeader('accept-ranges', 'bytes');
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = Math.min(found.size - 1, range?.[2] ? Number(range[2]) : found.size - 1);
  if (range && start > end) {
    response.writeHead(416, { 'content-range': `bytes */${found.size}` }).end();
    return;
  }
  response.setHeader('content-length', end - start + 1);
  if (range) response.setHeader('content-range', `bytes ${start}-${end}/${found.size}`);
  response.writeHead(range ? 206 : 200);
  if (found.size === 0) response.end();
  else createReadStream(path, { start, end }).pipe(response);
}
