// A scene as a web page that draws itself and says what it shows.

import type { FontFile } from '../packages.ts';
import { drawScene } from './draw.ts';
import { facesOf } from './material.ts';
import { paintPanel, paintPattern } from './paint.ts';
import type { Scene } from './scene.ts';

/** File of the library three, beside the pages. */
export const THREE_FILE = 'three.cjs';

/** The page of a scene; `globalThis.shown` is a promise of what it shows. */
export function scenePage(scene: Scene, fonts: readonly FontFile[]): string {
  const used = fonts.filter(({ name }) =>
    scene.panels.some(({ texts = [] }) => texts.some(({ font }) => font === name)),
  );
  // Scripts end where they say so, whatever a text holds.
  const described = JSON.stringify(scene).replaceAll('<', '\\u003c');
  return `<!doctype html><html data-type="scene"><meta charset="utf-8"><title>A scene</title><style>
${facesOf(used)}
body { margin: 0; overflow: hidden; width: ${scene.width}px; height: ${scene.height}px } canvas { display: block }
</style><body><script>
// The compiler of TypeScript leaves calls of it.
globalThis.__name = (named) => named;
globalThis.exports = {};
</script><script src="${THREE_FILE}"></script><script>
globalThis.scene = ${described};
globalThis.decoded = async (src) => { const image = Object.assign(new Image(), { src }); await image.decode(); return [src, image]; };
globalThis.shown = Promise.all([
  Promise.all([...new Set([...scene.panels, ...scene.solids.flatMap(({ shape }) => shape.parts ?? [])].flatMap(({ image }) => image ?? []))].map(decoded)),
  ...${JSON.stringify(used.map(({ name }) => `40px "${name}"`))}.map((font) => document.fonts.load(font)),
]).then(([images]) => (${drawScene})(exports, scene, { panel: ${paintPanel}, pattern: ${paintPattern} }, new Map(images)));
</script></body></html>
`;
}
