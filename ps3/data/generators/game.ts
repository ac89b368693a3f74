// Made-up games: a map of tiles or islands seen from the side, units with names and levels on it, and a display of scores around it.
import type { LandMap } from './debian.ts';
import { paintIslands, paintLand, paintTiles } from './game_maps.ts';
import { facesOf, GENERATED_SCREEN, type Material, PAINTS, Words } from './material.ts';
import { withArticles } from './scene.ts';

const TILE = 96;
const COLUMNS = GENERATED_SCREEN.width / TILE;
const ROWS = Math.ceil(GENERATED_SCREEN.height / TILE);
/** Terrains of tiles by what the map's noise is below. */
const TERRAINS: readonly (readonly [name: string, below: number])[] = [
  ['water', 0.38],
  ['sand', 0.44],
  ['grass', 0.6],
  ['forest', 0.74],
  ['rock', 1.01],
];
/** Kinds of units by the icon that shows them. */
const KINDS = [
  ['guard', 'shield-fill'],
  ['wagon', 'truck'],
  ['scout', 'binoculars-fill'],
  ['archer', 'bullseye'],
  ['smith', 'hammer'],
  ['healer', 'heart-fill'],
  ['mage', 'star-fill'],
  ['keeper', 'key-fill'],
] as const;
const TEAMS = ['red', 'blue', 'yellow', 'purple', 'orange', 'white'];
/** Places of the display, pixels: [left, top, right, bottom]. */
const DISPLAYS = {
  top: [0, 0, 3840, 84],
  ranking: [3200, 130, 3790, 900],
  small: [40, 1620, 700, 2110],
  messages: [3000, 1780, 3800, 2110],
} as const;

const escaped = (text: string): string => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

const capital = (text: string): string => `${text[0].toUpperCase()}${text.slice(1)}`;

/** Of a font, pixels: more often than not so small that 4K is needed, with capital letters of 5 to 7 pixels. */
const fontPx = (words: Words, most: number): number =>
  words.chance(0.6) ? words.integer(14, 18) / 2 : words.integer(10, most);

/** A text that answers a question. */
const fact = (question: string, kind: string, answer: string): string =>
  `<span data-question="${escaped(question)}" data-kind="${kind}">${escaped(answer)}</span>`;

/** Smooth noise within 0 and 1 on the tiles. */
function noise(words: Words): number[][] {
  const layer = (step: number): ((x: number, y: number) => number) => {
    const knots = Array.from({ length: Math.ceil(ROWS / step) + 2 }, () =>
      Array.from({ length: Math.ceil(COLUMNS / step) + 2 }, () => words.range(0, 1)),
    );
    const smooth = (t: number): number => t * t * (3 - 2 * t);
    return (x, y) => {
      const [i, j] = [Math.floor(x / step), Math.floor(y / step)];
      const [u, v] = [smooth(x / step - i), smooth(y / step - j)];
      const row = (k: number): number => knots[k][i] + (knots[k][i + 1] - knots[k][i]) * u;
      return row(j) + (row(j + 1) - row(j)) * v;
    };
  };
  const [coarse, fine] = [layer(7), layer(2.5)];
  return Array.from({ length: ROWS }, (_, y) =>
    Array.from({ length: COLUMNS }, (_, x) => 0.7 * coarse(x, y) + 0.3 * fine(x, y)),
  );
}

/** Where units stand: the middle of their feet, and on what. */
interface Spot {
  readonly x: number;
  readonly y: number;
  readonly ground: string;
}

/** A map: the script that draws it, and places for units in any order. */
interface GameMap {
  readonly script: string;
  /** What the script needs of the page. */
  readonly html?: string;
  readonly spots: readonly Spot[];
  readonly name: string;
}

const isFree = ({ x, y }: Spot): boolean =>
  !Object.values(DISPLAYS).some(
    ([left, top, right, bottom]) => x > left - 130 && x < right + 130 && y > top - 40 && y < bottom + 140,
  );

function tileMap(words: Words): GameMap {
  const ground = noise(words).map((row) =>
    row.map((level) => TERRAINS.findIndex(([, below]) => level < below)),
  );
  const spots = ground.flatMap((row, y) =>
    row.map((terrain, x) => ({
      x: (x + 0.5) * TILE,
      y: (y + 0.8) * TILE,
      ground: TERRAINS[terrain][0],
      column: x,
      row: y,
    })),
  );
  return {
    script: `(${paintTiles})(context, ${JSON.stringify(ground)}, ${TILE}, ${words.integer(0, 1e6)})`,
    // Not beside each other: labels are wider than a tile.
    spots: spots.filter(({ column, row }) => column % 3 === 1 && row % 2 === 1),
    name: 'a map of tiles seen from above',
  };
}

function islandMap(words: Words): GameMap {
  const { width, height } = GENERATED_SCREEN;
  const bumps = Array.from({ length: 5 }, () => ({
    at: words.range(0, 1),
    long: words.range(0.15, 0.7),
    high: words.range(60, 260),
  }));
  const step = 16;
  const surface = Array.from({ length: width / step + 1 }, (_, i) => {
    const u = (i * step) / width;
    const hills = bumps.reduce(
      (sum, { at, long, high }) => sum + high * Math.cos((2 * Math.PI * (u - at)) / long),
      0,
    );
    return Math.round(Math.min(height * 0.93, Math.max(height * 0.3, height * 0.66 - hills)));
  });
  const ledges = Array.from({ length: 9 }, (_, i) => ({
    x: 180 + i * 400 + words.integer(-60, 60),
    y: words.integer(330, 620),
    w: words.integer(220, 330),
  }));
  const spots: Spot[] = ledges.map(({ x, y, w }) => ({ x: x + w / 2, y, ground: 'a ledge' }));
  for (let i = 8; i < surface.length - 8; i += 15)
    spots.push({ x: i * step, y: surface[i], ground: 'the ground' });
  return {
    script: `(${paintIslands})(context, ${JSON.stringify(surface)}, ${step}, ${JSON.stringify(ledges)}, ${words.integer(0, 1e6)})`,
    spots: spots.filter(
      (spot) =>
        !ledges.some(
          ({ x, y, w }) => Math.abs(spot.x - x - w / 2) < 260 && spot.y !== y && Math.abs(spot.y - y) < 220,
        ),
    ),
    name: 'hills and ledges seen from the side',
  };
}

/** A part of a land, at its own size. */
function landOf(words: Words, lands: readonly LandMap[]): GameMap {
  const { image, width, height, footholds } = words.one(lands);
  const left = words.integer(0, width - GENERATED_SCREEN.width);
  const down = GENERATED_SCREEN.height - height;
  return {
    script: `(${paintLand})(context, document.querySelector('#land'), ${left})`,
    html: `<img id="land" alt="" hidden src="data:image/png;base64,${Buffer.from(image).toString('base64')}">`,
    spots: footholds.map(({ x, y }) => ({ x: x - left, y: y + down, ground: 'the ground' })),
    name: 'land seen from the side',
  };
}

/** A unit with its name above it and its level at its side. */
function unit(
  words: Words,
  { x, y, ground }: Spot,
  team: string,
  [kind, icon]: (typeof KINDS)[number],
  material: Material,
): string {
  const name = words.text((faker) => faker.person.firstName());
  const level = words.number((faker) => String(faker.number.int({ min: 10, max: 99 })));
  const label = fontPx(words, 24);
  const said = withArticles(`A ${team} ${kind} named ${name} stands on ${ground}. Its level is ${level}.`);
  const ink = ['white', 'yellow', 'orange'].includes(team) ? '#1b1d20' : '#ffffff';
  return `<div class="unit" style="left: ${x}px; top: ${y}px" data-caption="${escaped(said)}"><div class="name" style="font-size: ${label}px">${fact(`What is the name of the ${team} ${kind}?`, 'unit', name)}</div><div class="body" style="background: ${PAINTS[team]}; color: ${ink}">${material.icon(icon)}</div><div class="level" style="font-size: ${fontPx(words, 18)}px">${fact(`Which level has the ${team} ${kind}?`, 'level', level)}</div></div>`;
}

/** Names, scores, messages and a small map around the game. */
function displays(words: Words, script: string): { html: string; said: string } {
  const style = (name: keyof typeof DISPLAYS): string => {
    const [left, top, right, bottom] = DISPLAYS[name];
    // Lists are as long as they are, from their top or from the bottom of the image.
    const height = ['top', 'small'].includes(name)
      ? `height: ${bottom - top}px`
      : `max-height: ${bottom - top}px`;
    const place = name === 'messages' ? `bottom: ${GENERATED_SCREEN.height - bottom}px` : `top: ${top}px`;
    return `left: ${left}px; ${place}; width: ${right - left}px; ${height}; font-size: ${fontPx(words, 26)}px`;
  };
  const score = words.number((faker) => String(faker.number.int({ min: 10000, max: 99999 })));
  const level = words.number((faker) => String(faker.number.int({ min: 11, max: 99 })));
  const counters = [
    ['Score', 'Which score is shown at the top?', score],
    ['Level', 'Which level is shown at the top?', level],
    [
      'Gold',
      'How much gold is shown at the top?',
      words.number((faker) => String(faker.number.int({ min: 100, max: 9999 }))),
    ],
    [
      'Turn',
      'Which turn is shown at the top?',
      words.number((faker) => String(faker.number.int({ min: 10, max: 400 }))),
    ],
    [
      'Time',
      'What time is shown at the top?',
      words.number(
        (faker) => `${faker.number.int({ min: 10, max: 59 })}:${faker.number.int({ min: 10, max: 59 })}`,
      ),
    ],
  ].map(([name, question, value]) => `<span>${name} <b>${fact(question, 'counter', value)}</b></span>`);
  const players = Array.from({ length: 12 }, () => ({
    name: words.text((faker) => faker.internet.username().replace(/[._]/g, '').slice(0, 12)),
    points: words.number((faker) => String(faker.number.int({ min: 1000, max: 99999 }))),
  })).toSorted((a, b) => Number(b.points) - Number(a.points));
  const ranking = players.map(
    ({ name, points }, i) =>
      `<tr><td>${i + 1}</td><td>${fact(`Which player is on place ${i + 1} of the ranking?`, 'player', name)}</td><td>${fact(`How many points has ${name} in the ranking?`, 'points', points)}</td></tr>`,
  );
  const dots = words.shuffled(TEAMS).map((team, i) => {
    const place = capital(words.text((faker) => faker.location.city().split(' ').at(-1) ?? ''));
    const [x, y] = [8 + (i % 2) * 46 + words.range(0, 6), 12 + Math.floor(i / 2) * 28 + words.range(0, 8)];
    return `<div class="dot" style="left: ${x}%; top: ${y}%; font-size: ${fontPx(words, 18)}px"><i style="background: ${PAINTS[team]}"></i> ${fact(`Which place has the ${team} dot on the small map?`, 'place', place)}</div>`;
  });
  const messages = Array.from({ length: 6 }, () => {
    const who = words.text((faker) => faker.person.firstName());
    const time = words.number(
      (faker) => `${faker.number.int({ min: 10, max: 23 })}:${faker.number.int({ min: 10, max: 59 })}`,
    );
    return `<div>${fact(`At what time did ${who} write?`, 'time', time)} <b>${escaped(who)}</b> ${fact(
      `What did ${who} write?`,
      'message',
      words.text((faker) => `${faker.word.verb()} the ${faker.word.noun()}`),
    )}</div>`;
  });
  return {
    html: `<div class="display top" style="${style('top')}" data-caption="A bar at the top shows the score ${score} and the level ${level}.">${counters.join('')}</div>
<div class="display" style="${style('ranking')}" data-caption="${escaped(`The ranking of players stands on the right. ${players[0].name} leads with ${players[0].points} points.`)}"><h3>Ranking</h3><table>${ranking.join('')}</table></div>
<div class="display small" style="${style('small')}" data-caption="A small map with six places is in the lower left corner."><canvas id="small" width="660" height="490"></canvas>${dots.join('')}</div>
<div class="display" style="${style('messages')}" data-caption="Messages of six players stand in the lower right corner.">${messages.join('')}</div>
<script>addEventListener('load', () => { ${script}; document.querySelector('#small').getContext('2d').drawImage(context.canvas, 0, 0, 660, 490) })</script>`,
    said: `The score is ${score}, and ${players[0].name} leads the ranking.`,
  };
}

/** A game as HTML. */
export function gamePage(seed: number, material: Material): string {
  const words = new Words(seed, material.split);
  const fonts = [words.one(material.fonts.screen), words.one(material.fonts.shop)];
  const isTiled = words.chance(0.6);
  const { debian } = material;
  const map = isTiled ? tileMap(words) : debian ? landOf(words, debian.maps) : islandMap(words);
  const pairs = words.shuffled(TEAMS.flatMap((team) => KINDS.map((kind) => ({ team, kind }))));
  const spots = words.shuffled(
    map.spots.filter(
      ({ x, y, ground }) =>
        ground !== 'water' && x > 120 && x < 3720 && y > 200 && y < 2120 && isFree({ x, y, ground }),
    ),
  );
  const units = spots
    .slice(0, words.integer(16, 28))
    .map((spot, i) => unit(words, spot, pairs[i].team, pairs[i].kind, material));
  const [back, surface, text, line] = words.one(material.themes);
  const { html, said } = displays(words, map.script);
  const { width, height } = GENERATED_SCREEN;
  return `<!doctype html><html><meta charset="utf-8"><title>${escaped(`A game on ${map.name}, with ${units.length} units. ${said}`)}</title><style>
${facesOf(fonts)}
body { margin: 0; overflow: hidden; width: ${width}px; height: ${height}px; font-family: "${fonts[0].name}"; background: ${back} } canvas { display: block }
.unit { position: absolute; width: 0; height: 0 } .unit > div { position: absolute; white-space: nowrap; transform: translateX(-50%) }
.body { bottom: 0; width: 46px; height: 46px; border-radius: 50% 50% 30% 30%; border: 3px solid #15171a; box-shadow: 0 4px 5px rgba(0, 0, 0, 0.45); display: flex; align-items: center; justify-content: center } .body svg { width: 28px; height: 28px }
.name { bottom: 62px; padding: 0 6px; border-radius: 4px; background: rgba(12, 14, 18, 0.78); color: #f5f3ea; line-height: 1.35 }
.level { left: 44px; bottom: 6px; padding: 0 5px; border-radius: 4px; background: #f2d06b; color: #221c08; border: 1px solid #4a3c10; line-height: 1.3 }
.display { position: absolute; box-sizing: border-box; padding: 0.7em 1em; background: ${surface}; color: ${text}; border: 2px solid ${line}; border-radius: 8px; opacity: 0.94; overflow: hidden; line-height: 1.5 }
.top { border-radius: 0; display: flex; align-items: center; justify-content: space-around } .small { padding: 0 } .small canvas { position: absolute; left: 0; top: 0; filter: brightness(0.7) }
.dot { position: absolute; background: rgba(12, 14, 18, 0.8); color: #f5f3ea; padding: 0 0.5em; border-radius: 0.4em } i { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 50%; border: 1px solid #fff }
table { width: 100%; border-collapse: collapse } td:last-child { text-align: right } td { padding: 0.15em 0.4em; border-bottom: 1px solid ${line} } h3 { margin: 0 0 0.4em; font-family: "${fonts[1].name}"; font-weight: normal }
</style><body><canvas id="map" width="${width}" height="${height}"></canvas><script>const context = document.querySelector('#map').getContext('2d');</script>${map.html ?? ''}
${units.join('\n')}
${html}</body></html>
`;
}
