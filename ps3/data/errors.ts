import { EngineError } from '../../engine/index.ts';

/** A fault in images, annotations or sources that the user can mend: `name called: rule, got value. What to do.` */
export class DataError extends EngineError {
  constructor(message: string, options?: ErrorOptions) {
    super('data', message, options);
  }
}
