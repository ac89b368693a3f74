// The card that chooses a checkpoint, shows how far it has come, and what it is.
import { bytes, counted } from './counters.ts';
import { chosenFiles, fromCheckpoint } from './dropped.ts';
import { byId, element, facts } from './elements.ts';
import type { ModelFacts, Request, Storage } from './messages.ts';
import { addressFault } from './notices.ts';
import type { OfferedModel } from './offers.ts';

type Load = Request & { readonly kind: 'load' };

export interface CheckpointCardOptions {
  /** The checkpoints beside the page, the first one first. */
  readonly offered: readonly OfferedModel[];
  readonly onLoad: (request: Load) => void;
  readonly onCancel: () => void;
  /** What was entered cannot be loaded. */
  readonly onFault: (sentence: string) => void;
}

const PARTS = ['model-choice', 'loading', 'model'] as const;

/** Wires the card. */
export class CheckpointCard {
  readonly #options: CheckpointCardOptions;

  constructor(options: CheckpointCardOptions) {
    this.#options = options;
    const address = byId('address', HTMLInputElement);
    const buttons = options.offered.map(({ label, folder }, i) => {
      const name = i === 0 ? 'primary' : '';
      const button = Object.assign(element('button', name, label), { type: 'button' });
      button.onclick = () => this.load(new URL(folder, location.href).href);
      return button;
    });
    byId('offers', HTMLElement).replaceChildren(...buttons);
    byId('offers', HTMLElement).hidden = buttons.length === 0;
    for (const id of ['model-folder', 'model-files']) {
      const input = byId(id, HTMLInputElement);
      input.onchange = () => {
        if (input.files?.length) this.load(fromCheckpoint(chosenFiles(input.files)));
        input.value = '';
      };
    }
    byId('checkpoint', HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      const fault = addressFault(address.value.trim());
      if (fault) options.onFault(fault);
      else this.load(address.value.trim());
    };
    byId('cancel-load', HTMLElement).onclick = () => options.onCancel();
    byId('other-model', HTMLElement).onclick = () => this.choose();
  }

  /** Loads from an address or from files. */
  load(source: Load['source']): void {
    const storage = byId('storage', HTMLSelectElement).value as Storage;
    this.#show('loading');
    byId('bytes', HTMLProgressElement).removeAttribute('value');
    byId('bytes-text', HTMLElement).textContent = 'Opening';
    this.#options.onLoad({ kind: 'load', source, storage });
  }

  progress(doneBytes: number, allBytes: number): void {
    const bar = byId('bytes', HTMLProgressElement);
    bar.max = allBytes;
    bar.value = doneBytes;
    byId('bytes-text', HTMLElement).textContent = `${bytes(doneBytes)} of ${bytes(allBytes)}`;
  }

  /** Offers the choice again. */
  choose(): void {
    this.#show('model-choice');
  }

  loaded({ adapter, isSoftware, parameterCount, weightsBytes, scalesPx }: ModelFacts): void {
    this.#show('model');
    byId('model-facts', HTMLElement).replaceChildren(
      ...facts([
        [
          'Parameters',
          parameterCount >= 1e6 ? `${(parameterCount / 1e6).toPrecision(3)} M` : counted(parameterCount),
        ],
        ['Weights', bytes(weightsBytes)],
        ['Scales', `${scalesPx.join(', ')} px`],
      ]),
    );
    byId('adapter', HTMLElement).replaceChildren(
      element('span', 'soft', isSoftware ? `${adapter} (software, slow)` : adapter),
    );
  }

  #show(part: (typeof PARTS)[number]): void {
    for (const id of PARTS) byId(id, HTMLElement).hidden = id !== part;
  }
}
