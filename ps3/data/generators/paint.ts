// What covers solids and panels, drawn on canvases. Both functions run in the browser: they know nothing outside of themselves.
import type { Panel, PanelText, Pattern } from './scene.ts';

/** A line of text as it was drawn: edges in metres from the panel's middle along the line and upwards from it, its own axes. */
export interface WrittenText {
  readonly text: PanelText;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  /** Height of a capital letter. */
  readonly cap: number;
}

/**
 * Draws a panel.
 *
 * @param scale    pixels a metre
 * @param image  what covers it
 * @returns        its texts, where they are
 */
export function paintPanel(
  context: CanvasRenderingContext2D,
  panel: Panel,
  scale: number,
  image?: CanvasImageSource,
): WrittenText[] {
  const [width, height] = panel.size;
  const { back, border, radius = 0, texts = [], marks = [] } = panel;
  context.scale(scale, scale);
  context.translate(width / 2, height / 2);
  context.fillStyle = back;
  context.beginPath();
  context.roundRect(-width / 2, -height / 2, width, height, radius);
  context.fill();
  const edge = 0.03 * Math.min(width, height);
  if (border !== undefined) {
    context.strokeStyle = border;
    context.lineWidth = edge;
    context.beginPath();
    context.roundRect(
      1.5 * edge - width / 2,
      1.5 * edge - height / 2,
      width - 3 * edge,
      height - 3 * edge,
      Math.max(0, radius - edge),
    );
    context.stroke();
  }
  if (image) context.drawImage(image, -width / 2, -height / 2, width, height);
  for (const mark of marks) {
    context.fillStyle = mark.colour;
    context.strokeStyle = mark.colour;
    context.beginPath();
    if (mark.shape === 'rect') {
      const [x1, y1, x2, y2] = mark.box;
      context.fillRect(x1, -y2, x2 - x1, y2 - y1);
    } else if (mark.shape === 'disc') {
      context.arc(mark.x, -mark.y, mark.radius, 0, 2 * Math.PI);
      context.fill();
    } else {
      context.lineWidth = mark.width;
      context.lineJoin = 'round';
      for (const [x, y] of mark.points) context.lineTo(x, -y);
      context.stroke();
    }
  }
  return texts.map((text): WrittenText => {
    // Measured at 100 pixels: browsers round the sizes of small fonts.
    context.font = `100px "${text.font}"`;
    context.textAlign = text.align ?? 'center';
    const measure = context.measureText(text.text);
    const capital = context.measureText('H').actualBoundingBoxAscent;
    // In the line's own axes the panel reaches as far before and behind as is left of its margins.
    const half =
      (text.turned ? height : width) / 2 - (text.turned ? 0.08 * height : 0.1 * Math.min(width, height));
    const along = text.turned ? -text.y : text.x;
    const room = { left: half - along, right: half + along, center: 2 * (half - Math.abs(along)) }[
      text.align ?? 'center'
    ];
    const unit = Math.min(
      text.cap / capital,
      room / (measure.actualBoundingBoxLeft + measure.actualBoundingBoxRight),
    );
    context.save();
    context.translate(text.x, -text.y);
    if (text.turned) context.rotate(Math.PI / 2);
    context.scale(unit, unit);
    context.fillStyle = text.ink;
    context.fillText(text.text, 0, capital / 2);
    context.restore();
    return {
      text,
      left: -measure.actualBoundingBoxLeft * unit,
      right: measure.actualBoundingBoxRight * unit,
      top: (measure.actualBoundingBoxAscent - capital / 2) * unit,
      bottom: (-measure.actualBoundingBoxDescent - capital / 2) * unit,
      cap: capital * unit,
    };
  });
}

/**
 * Draws one repeat of a pattern over the whole canvas.
 *
 * @returns  metres that it covers, along and up
 */
export function paintPattern(
  context: CanvasRenderingContext2D,
  colour: string,
  { kind, second, seed }: Pattern,
): [number, number] {
  const { width, height } = context.canvas;
  // Source: mulberry32, T. Ettinger, public domain.
  let state = seed >>> 0;
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
  const shade = (strength: number): string => {
    const level = (random() - 0.5) * 2 * strength;
    return level < 0 ? `rgba(0, 0, 0, ${-level})` : `rgba(255, 255, 255, ${level})`;
  };
  const rect = (x: number, y: number, w: number, h: number, style: string): void => {
    context.fillStyle = style;
    context.fillRect(x, y, w, h);
  };
  /** Grains of some pixels each, lighter or darker than what is there by levels of 255. */
  const grain = (size: number, levels: number): void => {
    const image = context.getImageData(0, 0, width, height);
    for (let y = 0; y < height; y += size)
      for (let x = 0; x < width; x += size) {
        const change = 2 * (random() - 0.5) * levels;
        for (let dy = 0; dy < size; dy++)
          for (let at = 4 * ((y + dy) * width + x); at < 4 * ((y + dy) * width + x + size); at++)
            if (at % 4 < 3) image.data[at] += change;
      }
    context.putImageData(image, 0, 0);
  };
  /** Stones of a bond: columns and rows, each second row moved by a part of a stone. */
  const stones = (columns: number, rows: number, joint: number, moved: number, strength: number): void => {
    const [w, h] = [width / columns, height / rows];
    rect(0, 0, width, height, second);
    for (let row = 0; row < rows; row++)
      for (let column = -1; column <= columns; column++) {
        const x = (column + (row % 2) * moved) * w;
        rect(x, row * h, w - joint, h - joint, colour);
        rect(x, row * h, w - joint, h - joint, shade(strength));
      }
    grain(2, 6);
  };
  rect(0, 0, width, height, colour);
  if (kind === 'brick') stones(8, 24, 2.5, 0.5, 0.16);
  if (kind === 'paving') stones(6, 6, 3, 0.5, 0.08);
  if (kind === 'tiles') stones(8, 8, 4, 0, 0.04);
  if (kind === 'asphalt') grain(2, 22);
  if (kind === 'plaster') grain(2, 3);
  if (kind === 'grass') {
    grain(4, 26);
    grain(64, 8);
  }
  if (kind === 'wood') {
    const boards = 8;
    for (let i = 0; i < boards; i++) {
      const [x, w] = [(i * width) / boards, width / boards];
      rect(x, 0, w, height, shade(0.12));
      for (let j = 0; j < 60; j++)
        rect(x + random() * w, random() * height, 1 + random(), height * (0.1 + 0.5 * random()), shade(0.07));
      rect(x, 0, 2, height, second);
      rect(x, random() * height, w, 2, second);
    }
  }
  if (kind === 'facade') {
    grain(2, 7);
    const [columns, rows] = [4, 2];
    const [w, h] = [width / columns, height / rows];
    for (let row = 0; row < rows; row++) {
      rect(0, row * h + h - 0.05 * h, width, 0.03 * h, shade(0.25));
      for (let column = 0; column < columns; column++) {
        const [x, y] = [column * w + 0.25 * w, row * h + 0.2 * h];
        const [ww, hh] = [0.5 * w, 0.55 * h];
        rect(x - 0.03 * w, y - 0.03 * h, ww + 0.06 * w, hh + 0.06 * h, second);
        const glass = context.createLinearGradient(x, y, x + ww, y + hh);
        const light = 40 + 60 * random();
        glass.addColorStop(0, `rgb(${light + 30}, ${light + 50}, ${light + 65})`);
        glass.addColorStop(1, `rgb(${0.5 * light}, ${0.6 * light}, ${0.7 * light})`);
        context.fillStyle = glass;
        context.fillRect(x, y, ww, hh);
        if (random() < 0.6) rect(x, y, ww * (0.15 + 0.15 * random()), hh, 'rgba(240, 235, 220, 0.55)');
        if (random() < 0.6) rect(x + ww * 0.75, y, ww * 0.25, hh, 'rgba(240, 235, 220, 0.55)');
        rect(x + 0.48 * ww, y, 0.04 * ww, hh, second);
        rect(x, y + 0.33 * hh, ww, 0.03 * hh, second);
        rect(x - 0.05 * w, y + hh + 0.03 * h, ww + 0.1 * w, 0.035 * h, second);
      }
    }
  }
  return {
    facade: [9.6, 6.4],
    brick: [1.9, 1.9],
    asphalt: [5, 5],
    paving: [2.4, 2.4],
    wood: [1.2, 1.6],
    grass: [9, 9],
    plaster: [3, 3],
    tiles: [1.2, 1.2],
  }[kind] as [number, number];
}
