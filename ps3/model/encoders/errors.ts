import { EngineError } from '../../../engine/index.ts';

/** A fault in the description or the files of another encoder. */
export class EncoderError extends EngineError {
  constructor(message: string, options?: ErrorOptions) {
    super('encoder', message, options);
  }
}
