#!/usr/bin/env node
// The command `ps3`: runs the TypeScript sources as they are.
import { tmpdir } from 'node:os';
import { register } from 'tsx/esm/api';
import '../../engine/wgsl_loader.mjs';

process.env.XDG_RUNTIME_DIR ??= tmpdir(); // or the Vulkan loader complains
register();
const { main } = await import('./cli.ts');
process.exit(await main(process.argv));
