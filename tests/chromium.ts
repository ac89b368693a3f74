// The Chromium of tests of pages: Debian's, or another by CHROMIUM=PATH, on its software adapter.
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** It runs as root, and asks the network for nothing of its own. */
const args = [
  '--no-sandbox',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
];
const webgpu = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** @param more  in place of what gives it an adapter */
export const launchChromium = (more: readonly string[] = webgpu): Promise<Browser> =>
  chromium.launch({ executablePath, args: [...args, ...more] });

/** Ends the test file, as skipped, where there is no Chromium. */
export function needChromium(): void {
  if (existsSync(executablePath)) return;
  console.log(`skipped: needs ${executablePath}`);
  process.exit(0);
}
