// What was seen of the image so far, and how it is drawn.
import { colourOf } from '../colours.ts';
import { scaleName } from './counters.ts';
import { byId } from './elements.ts';
import type { ModelFacts, Region, SaliencyMap, ShownMaps } from './messages.ts';
import { cssColour, drawnMap, drawOverlay, extent, type Overlay, TakenPatches } from './overlay.ts';
import type { Place } from './viewer.ts';

type MapName = 'topDown' | 'bottomUp' | 'none';

/** Maps and patches of the latest request, with the controls that choose what of them is drawn. */
export class Seen {
  /** Per high-res scale. */
  patches: readonly TakenPatches[] = [];
  region: Region | undefined;
  readonly #maps = new Map<MapName, { map: SaliencyMap; drawn: HTMLCanvasElement }>();
  /** What the user wants to see, if there is such a map. */
  #wanted: MapName = 'topDown';
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    for (const radio of this.#radios())
      radio.onchange = () => {
        this.#wanted = radio.value as MapName;
        this.#changed();
      };
    byId('opacity', HTMLInputElement).oninput = onChange;
    drawRamp(byId('ramp', HTMLCanvasElement));
  }

  /** Forgets maps and patches. */
  clear(model: ModelFacts | undefined): void {
    this.patches = model ? model.grids.slice(1).map((grid, scale) => new TakenPatches(scale, grid)) : [];
    this.#maps.clear();
    byId('scales', HTMLElement).replaceChildren(
      ...(model ? model.budgets.map((_, scale) => scaleName(scale, model)) : []),
    );
    this.#changed();
  }

  showMaps({ bottomUp, topDown }: ShownMaps): void {
    this.#maps.set('bottomUp', { map: bottomUp, drawn: drawnMap(bottomUp) });
    if (topDown) this.#maps.set('topDown', { map: topDown, drawn: drawnMap(topDown) });
    this.#changed();
  }

  /** @param taken  per high-res scale, indices into Y * X */
  showLook(taken: readonly Uint32Array[]): void {
    taken.forEach((indices, scale) => {
      this.patches[scale].add(indices);
    });
    this.#onChange();
  }

  draw(context: CanvasRenderingContext2D, place: Place): void {
    const overlay: Overlay = {
      map: this.#maps.get(this.#shown())?.drawn,
      opacity: byId('opacity', HTMLInputElement).valueAsNumber / 100,
      patches: this.patches,
      region: this.region,
    };
    drawOverlay(context, place, overlay);
  }

  /** The map that is drawn: the one wanted, or the one that there is. */
  #shown(): MapName {
    if (this.#wanted === 'none' || this.#maps.size === 0) return 'none';
    return this.#maps.has(this.#wanted) ? this.#wanted : 'bottomUp';
  }

  #radios(): HTMLInputElement[] {
    return [...document.querySelectorAll<HTMLInputElement>('input[name="map"]')];
  }

  #changed(): void {
    const shown = this.#shown();
    for (const radio of this.#radios()) {
      radio.disabled = radio.value !== 'none' && !this.#maps.has(radio.value as MapName);
      radio.checked = radio.value === shown;
    }
    const map = this.#maps.get(shown)?.map;
    byId('legend', HTMLElement).hidden = this.#maps.size === 0;
    byId('scale-bar', HTMLElement).hidden = !map;
    if (map) {
      const [low, high] = extent(map.values);
      byId('low', HTMLElement).textContent = low.toFixed(2);
      byId('high', HTMLElement).textContent = high.toFixed(2);
    }
    this.#onChange();
  }
}

function drawRamp(canvas: HTMLCanvasElement): void {
  const context = canvas.getContext('2d');
  for (let x = 0; x < canvas.width && context; x++) {
    context.fillStyle = cssColour(colourOf(x / (canvas.width - 1)));
    context.fillRect(x, 0, 1, 1);
  }
}
