#!/usr/bin/env node
// The command `ps3`.
import { tmpdir } from 'node:os';
import { main } from './cli.ts';

process.env.XDG_RUNTIME_DIR ??= tmpdir(); // or the Vulkan loader complains
process.exit(await main(process.argv));
