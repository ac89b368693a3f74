// Errors and the checks that throw them, without the rest of the engine, for scripts that never compute.
export { EngineError, expect } from './gpu/errors.ts';
