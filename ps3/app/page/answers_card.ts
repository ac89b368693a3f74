// The card of questions about an image and their answers, the latest first.
import { byId, element } from './elements.ts';
import type { Answer } from './messages.ts';

/** Wires the card. */
export class AnswersCard {
  readonly #card = byId('answers', HTMLElement);
  readonly #list = byId('answered', HTMLElement);
  /** Of the latest question. */
  #crops = element('p', 'crops');
  #answer = element('p', 'answer');
  #note = element('p', 'soft');
  /** Of the answer so far. */
  #probability = 1;

  clear(): void {
    this.#list.replaceChildren();
    this.#card.hidden = true;
  }

  ask(question: string): void {
    this.#card.hidden = false;
    this.#crops = element('p', 'crops');
    this.#answer = element('p', 'answer');
    this.#note = element('p', 'soft', 'Looking');
    this.#probability = 1;
    const parts = [element('p', 'question', question), this.#crops, this.#answer, this.#note];
    this.#list.prepend(element('article', '', ...parts));
  }

  /** @param crops  what was looked at */
  looked(crops: readonly HTMLCanvasElement[]): void {
    this.#crops.replaceChildren(...crops);
    this.#note.textContent = 'Reading';
  }

  token({ text, probability }: Answer & { kind: 'token' }): void {
    const token = element('span', '', text);
    token.title = percent(probability);
    this.#answer.append(token);
    this.#probability *= probability;
    this.#note.textContent = `Likelihood ${percent(this.#probability)}`;
  }

  /** The answer is whole, or ends here. */
  ended(): void {
    if (this.#answer.childElementCount === 0) this.#note.textContent = 'No answer';
  }
}

const percent = (share: number): string => `${(100 * share).toPrecision(3)} %`;
