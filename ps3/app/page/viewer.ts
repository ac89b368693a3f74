// An image on a canvas that is zoomed and moved by wheel, fingers, mouse and keys, and on which regions are
// marked.
import { expect } from '../../../engine/errors.ts';
import type { Region } from './messages.ts';

/** The place of the image: CSS pixels of its top left corner, and its size. */
export interface Place {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface ViewerOptions {
  /** Draws the overlay of the image; the context is in CSS pixels. */
  readonly overlay: (context: CanvasRenderingContext2D, place: Place) => void;
  /** A region was marked. */
  readonly onRegion: (region: Region) => void;
}

/** CSS pixels per pixel of the image at which zooming in ends, unless the whole image needs more. */
const LARGEST_ZOOM = 32;
/** A pointer that moves less has clicked. */
const CLICK_PX = 5;
const KEY_STEP_PX = 48;

/** Images with a longer side are shown smaller than they are; the model reads them as they are. */
const LARGEST_SHOWN_PX = 8192;
/** The image and what part of it is seen. */
export class Viewer {
  /** What dragging with one pointer does. */
  tool: 'move' | 'mark' = 'move';
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #options: ViewerOptions;
  #image: ImageBitmap | undefined;
  /** CSS pixels per pixel of the image. */
  #zoom = 1;
  #left = 0;
  #top = 0;
  #isFitted = true;
  #isDrawing = false;
  /** Pointers that are down, at their last place. */
  readonly #pointers = new Map<number, { x: number; y: number }>();
  /** Where one pointer went down, as long as it is alone. */
  #start: { x: number; y: number } | undefined;

  constructor(canvas: HTMLCanvasElement, options: ViewerOptions) {
    const context = canvas.getContext('2d');
    expect(context !== null, 'viewer', 'the canvas must have a 2d context', 'none');
    this.#canvas = canvas;
    this.#context = context;
    this.#options = options;
    new ResizeObserver(() => this.#resized()).observe(canvas);
    canvas.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    canvas.onpointerdown = (event) => this.#down(event);
    canvas.onpointermove = (event) => this.#moved(event);
    canvas.onpointerup = (event) => this.#up(event);
    canvas.onpointercancel = ({ pointerId }) => this.#release(pointerId);
    canvas.ondblclick = ({ offsetX, offsetY }) => {
      if (this.tool === 'move') this.zoomBy(2, offsetX, offsetY);
    };
    canvas.onkeydown = (event) => this.#key(event);
  }

  /** What is shown. */
  get image(): ImageBitmap | undefined {
    return this.#image;
  }

  /** Shows another image, as a whole. */
  show(image: ImageBitmap): void {
    this.#image?.close();
    this.#image = image;
    this.fit();
  }

  /** Shows the whole image. */
  fit(): void {
    this.#isFitted = true;
    this.#zoom = this.#fittingZoom();
    this.#settle();
  }

  /** Zooms about a point of the canvas, in CSS pixels; default: its centre. */
  zoomBy(
    factor: number,
    x: number = this.#canvas.clientWidth / 2,
    y: number = this.#canvas.clientHeight / 2,
  ): void {
    if (!this.#image) return;
    const smallest = this.#fittingZoom();
    const zoom = Math.min(Math.max(this.#zoom * factor, smallest), Math.max(LARGEST_ZOOM, smallest));
    this.#left = x - ((x - this.#left) * zoom) / this.#zoom;
    this.#top = y - ((y - this.#top) * zoom) / this.#zoom;
    this.#zoom = zoom;
    this.#isFitted = zoom === smallest;
    this.#settle();
  }

  /** Draws with the next frame. */
  redraw(): void {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      this.#draw();
    });
  }

  #draw(): void {
    const ratio = devicePixelRatio;
    const context = this.#context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.#canvas.clientWidth, this.#canvas.clientHeight);
    if (!this.#image) return;
    const place = this.#place(this.#image);
    context.imageSmoothingEnabled = this.#zoom * ratio < 4; // enlarged pixels keep sharp edges
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.#image, place.left, place.top, place.width, place.height);
    this.#options.overlay(context, place);
    const [box] = this.tool === 'mark' && this.#start ? [this.#marked()] : [];
    if (!box) return;
    const [x1, y1, x2, y2] = box;
    context.setLineDash([6, 4]);
    context.lineWidth = 2;
    context.strokeStyle = '#ffffff';
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    context.setLineDash([]);
  }

  #place({ width, height }: ImageBitmap): Place {
    return { left: this.#left, top: this.#top, width: width * this.#zoom, height: height * this.#zoom };
  }

  #fittingZoom(): number {
    const { clientWidth, clientHeight } = this.#canvas;
    if (!this.#image) return 1;
    return Math.min(clientWidth / this.#image.width, clientHeight / this.#image.height) || 1;
  }

  /** Keeps the image on the canvas, centred where it is smaller. */
  #settle(): void {
    if (!this.#image) return;
    const { clientWidth, clientHeight } = this.#canvas;
    const { width, height } = this.#place(this.#image);
    const within = (at: number, size: number, room: number): number =>
      size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at));
    this.#left = within(this.#left, width, clientWidth);
    this.#top = within(this.#top, height, clientHeight);
    // One finger scrolls the page as long as there is nothing to move.
    this.#canvas.style.touchAction = this.#isFitted && this.tool === 'move' ? 'pan-y' : 'none';
    this.redraw();
  }

  /** After `tool` has changed. */
  toolChanged(): void {
    this.#canvas.classList.toggle('marks', this.tool === 'mark');
    this.#settle();
  }

  #resized(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    this.#canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.#canvas.height = Math.round(clientHeight * devicePixelRatio);
    if (this.#isFitted) this.fit();
    else this.#settle();
    this.#draw(); // now, since resizing has cleared the canvas
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const px = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : 30 * event.deltaY;
    this.zoomBy(1.0018 ** -Math.max(-400, Math.min(400, px)), event.offsetX, event.offsetY);
  }

  #down({ pointerId, offsetX, offsetY }: PointerEvent): void {
    if (!this.#image) return;
    this.#canvas.setPointerCapture(pointerId);
    this.#pointers.set(pointerId, { x: offsetX, y: offsetY });
    this.#start = this.#pointers.size === 1 ? { x: offsetX, y: offsetY } : undefined;
  }

  #moved({ pointerId, offsetX, offsetY }: PointerEvent): void {
    const before = this.#pointers.get(pointerId);
    if (!before) return;
    const [other] = [...this.#pointers].filter(([id]) => id !== pointerId).map(([, at]) => at);
    this.#pointers.set(pointerId, { x: offsetX, y: offsetY });
    if (other) {
      const distance = (at: { x: number; y: number }): number => Math.hypot(at.x - other.x, at.y - other.y);
      const factor = distance({ x: offsetX, y: offsetY }) / Math.max(1, distance(before));
      this.#left += (offsetX - before.x) / 2;
      this.#top += (offsetY - before.y) / 2;
      this.zoomBy(factor, (offsetX + other.x) / 2, (offsetY + other.y) / 2);
    } else if (this.tool === 'move') {
      this.#left += offsetX - before.x;
      this.#top += offsetY - before.y;
      this.#settle();
    } else this.redraw();
  }

  #up(event: PointerEvent): void {
    const { offsetX: x, offsetY: y } = event;
    const isAlone = this.#start !== undefined && this.#pointers.has(event.pointerId);
    const hasMoved = isAlone && Math.hypot(x - this.#start!.x, y - this.#start!.y) > CLICK_PX;
    const box = isAlone && hasMoved && this.tool === 'mark' ? this.#marked() : undefined;
    this.#release(event.pointerId);
    if (this.tool !== 'mark' || !isAlone) return;
    const region = box ? this.#regionOf(box) : this.#pointAt(x, y);
    if (region) this.#options.onRegion(region);
  }

  #release(pointerId: number): void {
    this.#pointers.delete(pointerId);
    this.#start = undefined;
    this.redraw();
  }

  /** The box from where the pointer went down to where it is, in CSS pixels. */
  #marked(): [number, number, number, number] | undefined {
    const [at] = this.#pointers.values();
    if (!at || !this.#start) return undefined;
    const [xs, ys] = [
      [this.#start.x, at.x],
      [this.#start.y, at.y],
    ].map((ends) => ends.sort((a, b) => a - b));
    return [xs[0], ys[0], xs[1], ys[1]];
  }

  #fraction(x: number, y: number): [number, number] {
    const { left, top, width, height } = this.#place(this.#image!);
    const within = (value: number): number => Math.min(1, Math.max(0, value));
    return [within((x - left) / width), within((y - top) / height)];
  }

  #regionOf([x1, y1, x2, y2]: readonly [number, number, number, number]): Region | undefined {
    const [left, top] = this.#fraction(x1, y1);
    const [right, bottom] = this.#fraction(x2, y2);
    return left < right && top < bottom ? { box: [left, top, right, bottom] } : undefined;
  }

  #pointAt(x: number, y: number): Region | undefined {
    const { left, top, width, height } = this.#place(this.#image!);
    const isOnImage = x >= left && y >= top && x <= left + width && y <= top + height;
    return isOnImage ? { point: this.#fraction(x, y) } : undefined;
  }

  #key(event: KeyboardEvent): void {
    if (!this.#image || event.ctrlKey || event.metaKey || event.altKey) return;
    const { clientWidth, clientHeight } = this.#canvas;
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [KEY_STEP_PX, 0],
      ArrowRight: [-KEY_STEP_PX, 0],
      ArrowUp: [0, KEY_STEP_PX],
      ArrowDown: [0, -KEY_STEP_PX],
    };
    const move = moves[event.key];
    if (move && !this.#isFitted) {
      this.#left += move[0];
      this.#top += move[1];
      this.#settle();
    } else if (event.key === '+' || event.key === '=') this.zoomBy(1.5);
    else if (event.key === '-') this.zoomBy(1 / 1.5);
    else if (event.key === '0') this.fit();
    else if (event.key === 'r') {
      const region = this.#pointAt(clientWidth / 2, clientHeight / 2);
      if (region) this.#options.onRegion(region);
    } else return;
    event.preventDefault();
  }
}

/** An image as it is shown. @throws when the browser cannot decode it */
export async function shownBitmap(file: Blob): Promise<ImageBitmap> {
  const bitmap = await createImageBitmap(file);
  const shrink = LARGEST_SHOWN_PX / Math.max(bitmap.width, bitmap.height);
  if (shrink >= 1) return bitmap;
  const [resizeWidth, resizeHeight] = [bitmap.width, bitmap.height].map((px) =>
    Math.max(1, Math.round(px * shrink)),
  );
  const smaller = await createImageBitmap(bitmap, { resizeWidth, resizeHeight, resizeQuality: 'high' });
  bitmap.close();
  return smaller;
}
