// The card that compares captions with the whole image.
import { byId, element } from './elements.ts';

/** Wires the card. */
export class CaptionsCard {
  readonly #field = byId('captions', HTMLTextAreaElement);
  readonly #answers = byId('similarities', HTMLElement);
  /** What was asked for last. */
  #asked: readonly string[] = [];

  /** @param onCompare  takes at least one caption */
  constructor(onCompare: (captions: readonly string[]) => void) {
    byId('compare', HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      const lines = this.#field.value.split('\n').map((line) => line.trim());
      this.#asked = lines.filter(Boolean);
      if (this.#asked.length > 0) onCompare(this.#asked);
    };
  }

  show(isShown: boolean): void {
    byId('compare', HTMLElement).hidden = !isShown;
  }

  /** Puts captions into the field, for another image. */
  propose(captions: readonly string[]): void {
    this.#field.value = captions.join('\n');
    this.#answers.replaceChildren();
  }

  /** @param probabilities  of the captions asked for, each by itself */
  answer(probabilities: readonly number[]): void {
    const rows = this.#asked.map((caption, i) => {
      const meter = Object.assign(element('meter', ''), { min: 0, max: 1, value: probabilities[i] });
      meter.ariaLabel = caption;
      const percent = element('span', 'number', `${(100 * probabilities[i]).toPrecision(3)} %`);
      return element('li', '', element('span', 'caption', caption), meter, percent);
    });
    this.#answers.replaceChildren(...rows);
  }
}
