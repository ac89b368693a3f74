// Draws a scene with three and measures what is seen of it. The function runs in the browser: it knows nothing outside of itself.
import type * as Three from 'three';
import type { Box } from '../boxes.ts';
import type { PageFact, Shown } from '../caption/web_page.ts';
import type { Caption } from '../caption/words.ts';
import type { paintPanel, paintPattern, WrittenText } from './paint.ts';
import type { Panel, Scene, Sentence, Solid, Vec3 } from './scene.ts';

/** A text or a panel that is seen whole. */
interface Seen {
  readonly box: Box;
  /** Pixels of its height, its capital letters', and along and across it for a metre. */
  readonly capPx: number;
  readonly isFrontal: boolean;
}

/**
 * Draws a scene on a canvas that fills the page. What is seen is asked of a second drawing, in which each part has a colour of its own.
 *
 * @param paint   what draws panels and patterns
 * @param images  by their addresses, decoded
 */
export function drawScene(
  three: typeof Three,
  scene: Scene,
  paint: { readonly panel: typeof paintPanel; readonly pattern: typeof paintPattern },
  images: ReadonlyMap<string, HTMLImageElement> = new Map(),
): Shown {
  const { width, height } = scene;
  /** Share of a text's samples that must be seen, and least heights of its capital letters, pixels: to be a fact, and to be spoken of. */
  const SEEN_SHARE = 0.9;
  const LEAST_CAP_PX = 4;
  const SPOKEN_CAP_PX = 6;
  /** Of a panel that is looked at whole. */
  const EDGE = 0.1;
  /** Least sides of a thing, pixels, and the least part of its extent. */
  const LEAST_THING_PX = 12;
  const LEAST_EXTENT = 0.5;

  const renderer = new three.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
  renderer.setPixelRatio(1);
  renderer.setSize(width, height);
  renderer.shadowMap.enabled = true;
  renderer.shadowMap.type = three.BasicShadowMap;
  document.body.append(renderer.domElement);
  const world = new three.Scene();
  const camera = new three.PerspectiveCamera(scene.camera.angle, width / height, 0.2, 900);
  camera.position.set(...scene.camera.at);
  camera.lookAt(...scene.camera.target);
  camera.updateMatrixWorld();

  const canvasOf = (w: number, h: number): CanvasRenderingContext2D => {
    const canvas = document.createElement('canvas');
    canvas.width = Math.min(8192, Math.max(8, Math.round(w)));
    canvas.height = Math.min(8192, Math.max(8, Math.round(h)));
    // Its pixels are read once each: drawn in memory, they need not come back from the graphics card.
    return canvas.getContext('2d', { willReadFrequently: true })!;
  };
  const textureOf = ({ canvas }: CanvasRenderingContext2D, anisotropy = 2): Three.CanvasTexture => {
    const texture = new three.CanvasTexture(canvas);
    texture.colorSpace = three.SRGBColorSpace;
    texture.anisotropy = anisotropy;
    return texture;
  };
  const project = (point: Three.Vector3): [x: number, y: number, depth: number] => {
    const depth = -point.clone().applyMatrix4(camera.matrixWorldInverse).z;
    const { x, y } = point.clone().project(camera);
    return [((x + 1) / 2) * width, ((1 - y) / 2) * height, depth];
  };
  const distance = ([a, b]: readonly number[], [c, d]: readonly number[]): number => Math.hypot(a - c, b - d);

  const sky = canvasOf(64, 1024);
  const gradient = sky.createLinearGradient(0, 0, 0, 1024);
  gradient.addColorStop(0, scene.sky[0]);
  gradient.addColorStop(1, scene.sky[1]);
  sky.fillStyle = gradient;
  sky.fillRect(0, 0, 64, 1024);
  world.background = textureOf(sky);
  if (scene.fog) world.fog = new three.Fog(scene.sky[1], ...scene.fog);
  world.add(new three.HemisphereLight('#ffffff', '#a8a296', scene.light.ambient));
  const sun = new three.DirectionalLight('#fff4e2', scene.light.strength);
  sun.position.set(...scene.light.at);
  const { reach } = scene.light;
  sun.target.position.set(0, 0, -0.8 * reach);
  world.add(sun, sun.target);
  sun.castShadow = true;
  sun.shadow.mapSize.set(4096, 4096);
  Object.assign(sun.shadow.camera, {
    left: -reach,
    right: reach,
    top: reach,
    bottom: -reach,
    near: 0.1,
    far: 6 * reach,
  });
  sun.shadow.normalBias = 0.0006 * reach;
  sun.shadow.bias = -0.0004;

  const place = (mesh: Three.Mesh, at: Vec3, [x, y, z]: Vec3 = [0, 0, 0]): void => {
    mesh.position.set(...at);
    mesh.rotation.set(x, y, z, 'YXZ');
    mesh.updateMatrixWorld();
    world.add(mesh);
  };
  const patterns = new Map<string, { texture: Three.Texture; metres: readonly number[] }>();
  const patternOf = (solid: Solid): { texture: Three.Texture; metres: readonly number[] } | undefined => {
    if (!solid.pattern) return undefined;
    const name = JSON.stringify([solid.colour, solid.pattern]);
    const made = patterns.get(name);
    if (made) return made;
    const context = canvasOf(1024, 1024);
    const metres = paint.pattern(context, solid.colour, solid.pattern);
    const texture = textureOf(context);
    texture.wrapS = texture.wrapT = three.RepeatWrapping;
    patterns.set(name, { texture, metres });
    return { texture, metres };
  };
  /** A box whose patterns go on by the metre on each of its sides, narrower at its top. */
  const boxOf = (
    [w, h, d]: Vec3,
    metres: readonly number[] | undefined,
    taper: readonly number[],
  ): Three.BufferGeometry => {
    const geometry = new three.BoxGeometry(w, h, d);
    const { position, uv } = geometry.attributes;
    const sides = [
      [d, h],
      [d, h],
      [w, d],
      [w, d],
      [w, h],
      [w, h],
    ];
    for (let i = 0; i < 24; i++) {
      const [along, up] = sides[Math.floor(i / 4)];
      if (metres) uv.setXY(i, (uv.getX(i) * along) / metres[0], (uv.getY(i) * up) / metres[1]);
      if (position.getY(i) > 0)
        position.setXYZ(i, position.getX(i) * taper[0], position.getY(i), position.getZ(i) * taper[1]);
    }
    geometry.computeVertexNormals();
    return geometry;
  };
  const meshes: { readonly mesh: Three.Mesh; readonly thing: number | undefined }[] = [];
  /** The parts of a model, each a body of its own. */
  const placeModel = ({ shape, size, at, turn, thing }: Solid): void => {
    if (typeof shape === 'string') return;
    for (const { positions, normals, uvs = [], colour, image } of shape.parts) {
      const geometry = new three.BufferGeometry();
      geometry.setAttribute('position', new three.Float32BufferAttribute(positions, 3));
      geometry.setAttribute('uv', new three.Float32BufferAttribute(uvs, 2));
      if (normals) geometry.setAttribute('normal', new three.Float32BufferAttribute(normals, 3));
      geometry.scale(...size);
      if (!normals) geometry.computeVertexNormals();
      const decoded = image === undefined ? undefined : images.get(image);
      const map = decoded && new three.Texture(decoded);
      if (map) {
        map.wrapS = map.wrapT = three.RepeatWrapping;
        map.colorSpace = three.SRGBColorSpace;
        map.needsUpdate = true;
      }
      // Some faces are wound the other way round.
      const look = { ...(map ? { map, alphaTest: 0.5 } : { color: colour }), side: three.DoubleSide };
      const mesh = new three.Mesh(geometry, new three.MeshLambertMaterial(look));
      mesh.castShadow = mesh.receiveShadow = true;
      place(mesh, at, turn);
      meshes.push({ mesh, thing });
    }
  };
  for (const solid of scene.solids) {
    const { shape, size, at, turn, colour, glows = false, isClear = false, taper = [1, 1], thing } = solid;
    if (typeof shape !== 'string') {
      placeModel(solid);
      continue;
    }
    const pattern = patternOf(solid);
    const geometry = {
      box: () => boxOf(size, pattern?.metres, taper),
      cylinder: () => new three.CylinderGeometry(taper[0] / 2, 0.5, 1, 32).scale(...size),
      sphere: () => new three.SphereGeometry(0.5, 32, 20).scale(...size),
    }[shape]();
    const look = pattern ? { map: pattern.texture } : { color: colour };
    const material = glows ? new three.MeshBasicMaterial(look) : new three.MeshLambertMaterial(look);
    const mesh = new three.Mesh(geometry, material);
    mesh.castShadow = !glows && !isClear;
    mesh.receiveShadow = !glows;
    place(mesh, at, turn);
    meshes.push({ mesh, thing });
  }
  const panels = scene.panels.map((panel) => {
    const [w, h] = panel.size;
    const mesh = new three.Mesh(new three.PlaneGeometry(w, h));
    place(mesh, panel.at, panel.turn);
    const on = (x: number, y: number): [number, number, number] =>
      project(mesh.localToWorld(new three.Vector3(x, y, 0)));
    // Twice the pixels that it takes at its nearest edge, so that its first mipmap is what is seen.
    const edges = [
      [-w / 2, 0, -1, 0],
      [w / 2, 0, 1, 0],
      [0, h / 2, 0, 1],
      [0, -h / 2, 0, -1],
    ];
    const perMetre = edges.map(
      ([x, y, dx, dy]) => distance(on(x, y), on(x - 0.01 * dx, y - 0.01 * dy)) / 0.01,
    );
    const { image } = panel;
    const detail = panel.texts || panel.marks || image ? 2 * Math.max(...perMetre, 8) : 100;
    const scale = Math.min(detail, 8192 / w, 8192 / h);
    const context = canvasOf(w * scale, h * scale);
    const written = paint.panel(context, panel, scale, image ? images.get(image) : undefined);
    const look = { map: textureOf(context, 16), transparent: true };
    mesh.material = panel.glows ? new three.MeshBasicMaterial(look) : new three.MeshLambertMaterial(look);
    mesh.receiveShadow = !panel.glows;
    meshes.push({ mesh, thing: panel.thing });
    return { panel, written, on, id: meshes.length };
  });
  renderer.render(world, camera);
  // The second drawing: the colour of a part is its number, from 1.
  const target = new three.WebGLRenderTarget(width, height);
  world.background = null;
  world.fog = null;
  for (const [i, { mesh }] of meshes.entries())
    mesh.material = new three.MeshBasicMaterial({
      color: new three.Color().setRGB(((i + 1) >> 8) / 255, ((i + 1) & 255) / 255, 0),
      fog: false,
    });
  renderer.shadowMap.enabled = false;
  renderer.setRenderTarget(target);
  renderer.setClearColor(0, 0);
  renderer.clear();
  renderer.render(world, camera);
  const pixels = new Uint8Array(4 * width * height);
  renderer.readRenderTargetPixels(target, 0, 0, width, height, pixels);
  renderer.setRenderTarget(null);
  /** Number of the part at a pixel; rows of the drawing go up. */
  const idAt = (x: number, y: number): number => {
    const at = 4 * ((height - 1 - Math.floor(y)) * width + Math.floor(x));
    return pixels[at] * 256 + pixels[at + 1];
  };

  /**
   * A rectangle on a panel: its box, and what part of it is seen.
   *
   * @param edge  share of its sides that is not looked at: of a whole panel, pixels at the edges are another's by half
   */
  const look = (
    { on, id }: (typeof panels)[number],
    at: (along: number, up: number) => [number, number],
    [left, bottom, right, top]: readonly number[],
    cap: number,
    edge = 0,
  ): Seen | undefined => {
    let seen = 0;
    let samples = 0;
    const corners: (readonly number[])[] = [];
    for (let i = 0; i <= 24; i++)
      for (let j = 0; j <= 3; j++) {
        const sample = (margin: number): [number, number, number] => {
          const [u, v] = [i / 24, j / 3].map((part) => margin + (1 - 2 * margin) * part);
          return on(...at(left + (right - left) * u, bottom + (top - bottom) * v));
        };
        const [x, y, depth] = sample(0);
        samples++;
        if (depth <= 0 || x < 0 || y < 0 || x >= width || y >= height) return undefined;
        const [inX, inY] = sample(edge);
        if (idAt(inX, inY) === id) seen++;
        if (i % 24 === 0 && j % 3 === 0) corners.push([x, y]);
      }
    if (seen < SEEN_SHARE * samples) return undefined;
    const middle = (left + right) / 2;
    const [low, high] = [on(...at(middle, 0)), on(...at(middle, cap))];
    const along = distance(on(...at(left, 0)), on(...at(right, 0))) / (right - left);
    const capPx = distance(low, high);
    const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    const box: Box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    // Of a line that is seen from its side or aslant, another reader than a person reads nothing.
    const length = along * (right - left);
    const slant = Math.min(box[2] - box[0], box[3] - box[1]) - capPx * ((top - bottom) / cap);
    return { box, capPx, isFrontal: along / (capPx / cap) > 0.6 && slant < 0.15 * length };
  };
  const facts: PageFact[] = [];
  const seen = new Map<string, Box>();
  const lookAtText = (part: (typeof panels)[number], written: WrittenText): void => {
    const { text, cap, left, right, top, bottom } = written;
    const { question, kind, key, turned } = text;
    const at = (along: number, up: number): [number, number] =>
      turned ? [text.x + up, text.y - along] : [text.x + along, text.y + up];
    const result = look(part, at, [left, bottom, right, top], cap);
    if (!result || result.capPx < LEAST_CAP_PX) return;
    const { box, capPx, isFrontal } = result;
    if (key !== undefined && capPx >= SPOKEN_CAP_PX) seen.set(key, box);
    if (question !== undefined && kind !== undefined && isFrontal)
      facts.push({ text: text.text, box, question, kind, capPx, ...(turned && { turned }) });
  };
  const lookAtPanel = (part: (typeof panels)[number], { size, asks }: Panel): void => {
    if (!asks) return;
    const [w, h] = size;
    const result = look(part, (x, y) => [x, y], [-w / 2, -h / 2, w / 2, h / 2], asks.size, EDGE);
    if (!result || result.capPx < LEAST_CAP_PX || !result.isFrontal) return;
    const { answer, size: _, ...asked } = asks;
    facts.push({ ...asked, text: answer, box: result.box, capPx: result.capPx });
  };
  for (const part of panels) {
    for (const written of part.written) lookAtText(part, written);
    lookAtPanel(part, part.panel);
  }

  // Things: the box of their pixels, beside what it would be if nothing stood before them.
  const boxes = scene.things.map((): [number, number, number, number] => [width, height, 0, 0]);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const id = idAt(x, y);
      const thing = id === 0 ? undefined : meshes[id - 1].thing;
      if (thing === undefined) continue;
      const box = boxes[thing];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
    }
  const extents = scene.things.map((): [number, number, number, number] => [
    Infinity,
    Infinity,
    -Infinity,
    -Infinity,
  ]);
  for (const { mesh, thing } of meshes) {
    if (thing === undefined) continue;
    const { position } = mesh.geometry.attributes;
    const extent = extents[thing];
    for (let i = 0; i < position.count; i++) {
      const [x, y, depth] = project(mesh.localToWorld(new three.Vector3().fromBufferAttribute(position, i)));
      if (depth <= 0) continue;
      extent[0] = Math.min(extent[0], x);
      extent[1] = Math.min(extent[1], y);
      extent[2] = Math.max(extent[2], x);
      extent[3] = Math.max(extent[3], y);
    }
  }
  const areaOf = ([x1, y1, x2, y2]: Box): number => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
  for (const [i, { key }] of scene.things.entries()) {
    const [x1, y1, x2, y2] = boxes[i];
    const isLarge = Math.min(x2 - x1, y2 - y1) >= LEAST_THING_PX;
    if (isLarge && areaOf(boxes[i]) >= LEAST_EXTENT * areaOf(extents[i])) seen.set(key, boxes[i]);
  }
  const said = (sentences: readonly Sentence[]): string =>
    sentences
      .filter(({ needs = [] }) => needs.every((key) => seen.has(key)))
      .map(({ text }) => text)
      .join(' ');
  const captions = scene.things.flatMap(({ key, sentences }): Caption[] => {
    const box = seen.get(key);
    const text = said(sentences);
    return box && text !== '' ? [{ text, box }] : [];
  });
  return { facts, captions, title: said(scene.sentences) };
}
