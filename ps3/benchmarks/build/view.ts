// What a reader is given of an image.

/** An image at a resolution, RGB. */
export interface View {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}
