// Errors and the checks that throw them, without the rest: a second door, for scripts that never compute.
export { EngineError, expect } from './gpu/errors.ts';
