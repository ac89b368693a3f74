// The maps of games, drawn on a canvas. The functions run in the browser: they know nothing outside of themselves.

/**
 * Draws a map of square tiles.
 *
 * @param ground  [rows][columns]: 0 water, 1 sand, 2 grass, 3 forest, 4 rock
 * @param tile    side of a tile, pixels
 */
export function paintTiles(
  context: CanvasRenderingContext2D,
  ground: readonly (readonly number[])[],
  tile: number,
  seed: number,
): void {
  let state = seed;
  // Source: Numerical Recipes' linear congruential generator.
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const colours = ['#3f7fae', '#d9c58c', '#7fa650', '#5f8a45', '#8d8578'];
  const disc = (x: number, y: number, radius: number, colour: string): void => {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  };
  const triangle = (x: number, y: number, width: number, height: number, colour: string): void => {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(x - width / 2, y);
    context.lineTo(x, y - height);
    context.lineTo(x + width / 2, y);
    context.fill();
  };
  for (const [row, line] of ground.entries())
    for (const [column, kind] of line.entries()) {
      context.fillStyle = colours[kind];
      context.fillRect(column * tile, row * tile, tile, tile);
      for (let i = 0; i < 160; i++) {
        context.fillStyle = random() < 0.5 ? 'rgba(0, 0, 0, 0.07)' : 'rgba(255, 255, 255, 0.07)';
        context.fillRect(
          (column + random()) * tile - 2,
          (row + random()) * tile - 2,
          2 + 5 * random(),
          2 + 3 * random(),
        );
      }
    }
  // Shores are round: a disc of the lower ground at each border.
  for (const [row, line] of ground.entries())
    for (const [column, kind] of line.entries())
      for (const [dx, dy] of [
        [1, 0],
        [0, 1],
        [-1, 0],
        [0, -1],
      ]) {
        const other = ground[row + dy]?.[column + dx];
        if (other === undefined || other >= kind) continue;
        for (let i = 0; i < 5; i++) {
          const along = (i + random()) / 5 - 0.5;
          const [x, y] = [column + 0.5 + dx * 0.5 + dy * along, row + 0.5 + dy * 0.5 + dx * along];
          disc(x * tile, y * tile, tile * (0.05 + 0.09 * random()), colours[other]);
        }
      }
  for (const [row, line] of ground.entries())
    for (const [column, kind] of line.entries()) {
      const at = (): [number, number] => [(column + random()) * tile, (row + 0.15 + 0.85 * random()) * tile];
      if (kind === 0)
        for (let i = 0; i < 3; i++) {
          const [x, y] = at();
          context.strokeStyle = 'rgba(220, 238, 248, 0.4)';
          context.lineWidth = 2;
          context.beginPath();
          context.arc(x, y, 8, 1.15 * Math.PI, 1.85 * Math.PI);
          context.arc(x + 13, y, 8, 1.15 * Math.PI, 1.85 * Math.PI);
          context.stroke();
        }
      if (kind === 3)
        for (let i = 0; i < 5; i++) {
          const [x, y] = at();
          triangle(x, y, 26, 40, '#33562c');
          triangle(x, y - 14, 21, 34, '#3f6a34');
        }
      if (kind === 4)
        for (let i = 0; i < 2; i++) {
          const [x, y] = at();
          triangle(x, y, 56, 50, '#6d665c');
          triangle(x + 4, y - 26, 24, 24, '#d9d6cf');
        }
      if (kind === 2 && random() < 0.3) {
        const [x, y] = at();
        disc(x, y, 5, ['#e9d46a', '#e5e0d8', '#d98a9b'][Math.floor(3 * random())]);
      }
      context.strokeStyle = 'rgba(0, 0, 0, 0.1)';
      context.lineWidth = 1;
      context.strokeRect(column * tile + 0.5, row * tile + 0.5, tile, tile);
    }
}

/** Draws land that is an image before a sky, from a column of it on and down to the bottom. */
export function paintLand(context: CanvasRenderingContext2D, land: HTMLImageElement, left: number): void {
  const { width, height } = context.canvas;
  const sky = context.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, '#4f8fc9');
  sky.addColorStop(1, '#e8d8b8');
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);
  context.drawImage(land, -left, height - land.naturalHeight);
}

/**
 * Draws hills and ledges before a sky.
 *
 * @param surface  height of the ground each `step` pixels, from the top
 * @param ledges   floating ground: left end, top, width
 */
export function paintIslands(
  context: CanvasRenderingContext2D,
  surface: readonly number[],
  step: number,
  ledges: readonly { readonly x: number; readonly y: number; readonly w: number }[],
  seed: number,
): void {
  const { width, height } = context.canvas;
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const sky = context.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, '#4f8fc9');
  sky.addColorStop(1, '#e8d8b8');
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);
  for (let i = 0; i < 14; i++) {
    const [x, y] = [random() * width, 120 + random() * height * 0.4];
    context.fillStyle = 'rgba(255, 255, 255, 0.35)';
    for (let j = 0; j < 7; j++) {
      context.beginPath();
      context.ellipse(
        x + (random() - 0.5) * 260,
        y + (random() - 0.5) * 44,
        60 + 90 * random(),
        24 + 26 * random(),
        0,
        0,
        2 * Math.PI,
      );
      context.fill();
    }
  }
  for (const [depth, colour] of [
    [0.62, '#7f9fb0'],
    [0.74, '#66876f'],
  ] as const) {
    const phase = random() * 9;
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width; x += 20)
      context.lineTo(x, height * depth - 120 * Math.sin(x / 330 + phase) - 50 * Math.sin(x / 97 + 2 * phase));
    context.lineTo(width, height);
    context.fill();
  }
  const soil = new Path2D();
  soil.moveTo(0, height);
  for (const [i, y] of surface.entries()) soil.lineTo(i * step, y);
  soil.lineTo(width, height);
  for (const { x, y, w } of ledges) {
    soil.moveTo(x, y);
    soil.lineTo(x + w, y);
    soil.quadraticCurveTo(x + w * 0.8, y + 90, x + w / 2, y + 80);
    soil.quadraticCurveTo(x + w * 0.2, y + 90, x, y);
  }
  context.fillStyle = '#6b4a31';
  context.fill(soil);
  context.save();
  context.clip(soil);
  for (let i = 0; i < 2600; i++) {
    context.fillStyle = random() < 0.5 ? 'rgba(35, 20, 8, 0.25)' : 'rgba(214, 180, 130, 0.2)';
    context.beginPath();
    context.ellipse(
      random() * width,
      random() * height,
      4 + 16 * random(),
      3 + 9 * random(),
      random() * 3,
      0,
      2 * Math.PI,
    );
    context.fill();
  }
  context.restore();
  context.strokeStyle = '#4f8f3a';
  context.lineWidth = 16;
  context.lineJoin = 'round';
  context.beginPath();
  for (const [i, y] of surface.entries()) context.lineTo(i * step, y + 7);
  for (const { x, y, w } of ledges) {
    context.moveTo(x, y + 7);
    context.lineTo(x + w, y + 7);
  }
  context.stroke();
  context.lineWidth = 3;
  for (let i = 0; i < surface.length - 1; i += 0.5) {
    const at = Math.floor(i);
    context.strokeStyle = random() < 0.5 ? '#3f7a2d' : '#6aa84f';
    context.beginPath();
    context.moveTo(i * step, surface[at] + 6);
    context.lineTo(i * step + 8 * (random() - 0.5), surface[at] - 4 - 10 * random());
    context.stroke();
  }
}
