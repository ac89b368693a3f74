#!/usr/bin/env node
// The command `ps3` in the repository: runs the TypeScript sources as they are.
import { register } from 'tsx/esm/api';
import '../../engine/wgsl_loader.mjs';

register();
await import('./bin.ts');
