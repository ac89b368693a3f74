import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type PageServer, servePage } from '../engine/page_server.ts';

const parent = mkdtempSync(join(tmpdir(), 'ps3-page-server-'));
const POLICY = "default-src 'none'; script-src 'self'";
let server: PageServer;

/** Status, headers and body; the path is sent as it is, unlike by fetch, which tidies it. */
function get(
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.url);
    request({ hostname, port, path, headers, family: 4 }, (response) => {
      let body = '';
      response.setEncoding('latin1');
      response.on('data', (part) => {
        body += part;
      });
      response.on('end', () => resolve({ status: response.statusCode!, body, headers: response.headers }));
    })
      .on('error', reject)
      .end();
  });
}

test.before(async () => {
  const folder = join(parent, 'site');
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'index.html'),
    `<meta http-equiv="Content-Security-Policy"\n content="${POLICY}" />`,
  );
  writeFileSync(join(folder, 'ten.json'), '0123456789');
  writeFileSync(join(folder, 'empty.js'), '');
  writeFileSync(join(parent, 'secret.txt'), 'secret');
  server = await servePage(folder);
});

test.after(() => {
  server.close();
  rmSync(parent, { recursive: true });
});

test('page server: sends the policy of index.html with every file, since a worker has its own', async () => {
  for (const path of ['/', '/ten.json', '/missing.js']) {
    const { headers } = await get(path);
    assert.is(headers['content-security-policy'], POLICY, path);
    assert.is(headers['x-content-type-options'], 'nosniff', path);
  }
});

test('page server: sends files and ranges of them', async () => {
  const whole = await get('/ten.json?x=1');
  assert.equal(
    [whole.status, whole.body, whole.headers['content-type']],
    [200, '0123456789', 'application/json'],
  );
  for (const [range, status, body, contentRange] of [
    ['bytes=0-0', 206, '0', 'bytes 0-0/10'],
    ['bytes=3-5', 206, '345', 'bytes 3-5/10'],
    ['bytes=8-', 206, '89', 'bytes 8-9/10'],
    ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
    ['bytes=10-', 416, '', 'bytes */10'],
  ] as const) {
    const part = await get('/ten.json', { range });
    assert.equal(
      [part.status, part.body, part.headers['content-range']],
      [status, body, contentRange],
      range,
    );
  }
  assert.equal((await get('/empty.js')).status, 200);
});

test('page server: nothing outside of the folder is sent', async () => {
  for (const path of [
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e%2fsecret.txt',
    '/missing',
    '//',
    '/site',
  ]) {
    const { status, body } = await get(path);
    assert.is(status, 404, path);
    assert.not.match(body, 'secret', path);
  }
});

test('page server: an address that cannot be decoded is refused, and the server goes on', async () => {
  assert.is((await get('/%')).status, 400);
  assert.is((await get('/ten.json')).status, 200);
});

test.run();
