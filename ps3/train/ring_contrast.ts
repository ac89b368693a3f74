// The contrastive loss over ranks. Each compares its images with the texts of all: its own by `contrast`, those of the others
// as they visit it by the ring, as negatives but for equal classes. The gradients of the texts travel back.
import { add, type Capture, type Engine, noGrad, type Tensor } from '../../engine/index.ts';
import type { PS3 } from '../model/ps3.ts';
import { ring } from '../ranks/ring.ts';
import type { Transport } from '../ranks/transport.ts';
import { contrast } from './phases.ts';

/** What this rank has embedded: parts of its batch, [b, E] each, and their classes, u32 [B]. */
export interface OwnFeatures {
  readonly images: readonly Tensor[];
  readonly texts: readonly Tensor[];
  readonly classes: Tensor | undefined;
}

/** Adds to the loss of a rank, and to the gradients of its features, what the other ranks bring. */
export class RingContrast {
  readonly #engine: Engine;
  readonly #transport: Transport;
  readonly #own: OwnFeatures;
  readonly #textGradients: readonly Tensor[];
  /** Texts of another rank, [B, E], and their classes, [B]. */
  readonly #visitor: Tensor;
  readonly #visitorClasses: Tensor | undefined;
  /** Gradients of the visitor are the last of its outputs. */
  readonly #capture: Capture<Tensor[]>;

  /**
   * @param contrasted  what `contrast` gives for the rank's own texts: the loss, then gradients of images and texts by part
   * @param divisor     images of all ranks
   * @param lossScale   [1], what gradients are multiplied by; 1 by default
   */
  constructor(
    engine: Engine,
    model: PS3,
    transport: Transport,
    own: OwnFeatures,
    contrasted: readonly Tensor[],
    divisor: number,
    lossScale?: Tensor<'f32'>,
  ) {
    this.#engine = engine;
    this.#transport = transport;
    this.#own = own;
    const { images, texts, classes } = own;
    const parts = images.length;
    const sums = contrasted.slice(0, 1 + parts);
    this.#textGradients = contrasted.slice(1 + parts);
    const [b, E] = texts[0].shape;
    this.#visitor = engine.zeros([b * parts, E]);
    this.#visitorClasses = classes && engine.empty([b * parts], { dtype: 'u32' });
    this.#capture = engine.capture(
      (...tensors) => {
        const [visitor, ...rest] = tensors;
        const [images, sums] = [rest.slice(0, parts), rest.slice(parts, 2 * parts + 1)];
        const [positives, textPositives] = rest.slice(2 * parts + 1);
        const options = { positives, textPositives, diagonal: false, divisor };
        const made = contrast(model, images, [visitor], options, lossScale);
        noGrad(() => {
          for (const [i, sum] of sums.entries()) sum.write(add(sum, made[i]));
        });
        return made;
      },
      this.#visitor,
      ...images,
      ...sums,
      ...(classes ? [classes, this.#visitorClasses!] : []),
    );
  }

  /** To be called once the own texts are contrasted. */
  async run(): Promise<void> {
    const { texts, classes } = this.#own;
    const visitor = this.#visitor;
    const blocks = await Promise.all([...texts, ...(classes ? [classes] : [])].map((part) => part.data()));
    const sum = await ring(this.#transport, joined(blocks), async (block) => {
      visitor.write(new Float32Array(block.buffer, block.byteOffset, visitor.size));
      this.#visitorClasses?.write(new Uint32Array(block.buffer, block.byteOffset + visitor.sizeBytes));
      this.#capture.replay();
      const gradients = await this.#capture.outputs.at(-1)!.data();
      return gradients as Float32Array;
    });
    if (!sum) return;
    using scope = this.#engine.scope();
    for (const [i, gradient] of this.#textGradients.entries()) {
      const { size, shape } = gradient;
      const returned = this.#engine.tensor(sum.slice(i * size, (i + 1) * size), shape, { scope });
      noGrad(() => gradient.write(add(returned, gradient)));
    }
  }

  /** Frees what it holds. */
  [Symbol.dispose](): void {
    this.#capture.dispose();
    this.#visitor.dispose();
    this.#visitorClasses?.dispose();
  }
}

function joined(parts: readonly ArrayBufferView[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let begin = 0;
  for (const { buffer, byteOffset, byteLength } of parts) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), begin);
    begin += byteLength;
  }
  return bytes;
}
