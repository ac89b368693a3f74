// Starts worker.ts in a thread, from the TypeScript sources as they are.
import { register } from 'tsx/esm/api';
import '../../../engine/wgsl_loader.mjs';

register();
await import('./worker.ts');
