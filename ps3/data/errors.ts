/** A fault in pictures, annotations or sources that the user can mend: `area: rule, got value. What to do.` */
export class DataError extends Error {
  override readonly name: string = 'DataError';
  readonly code: string = 'data';
}
