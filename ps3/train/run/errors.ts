// What can be wrong with a run.
import { EngineError } from '../../../engine/index.ts';

/** A run folder is missing, in use or broken. */
export class RunError extends EngineError {
  constructor(message: string) {
    super('run', message);
  }
}

/** Work was ended in order, as a signal had asked. */
export class InterruptedError extends EngineError {
  constructor(message: string) {
    super('interrupted', message);
  }
}
