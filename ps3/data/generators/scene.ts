// Descriptions of scenes in three dimensions: solids, panels with texts on them, and what may be said about them when they are seen.
// Lengths are metres, x to the right, y up, z towards the camera's back; `drawScene` draws them.

/** A place or a size. */
export type Vec3 = readonly [x: number, y: number, z: number];

/** What covers a solid, repeated by the metre. */
export interface Pattern {
  readonly kind: 'facade' | 'brick' | 'asphalt' | 'paving' | 'wood' | 'grass' | 'plaster' | 'tiles';
  /** Of frames, joints or grain. */
  readonly second: string;
  readonly seed: number;
}

/** Triangles of one look, in a box of size 1 around the origin. */
export interface ModelPart {
  readonly colour: string;
  /** Address of what covers it, by `uvs`. */
  readonly image?: string;
  /** Three coordinates for each corner; three corners a triangle. */
  readonly positions: readonly number[];
  /** Default: those of the triangles. */
  readonly normals?: readonly number[];
  readonly uvs?: readonly number[];
}

/** A body of any form. */
export interface Model {
  readonly parts: readonly ModelPart[];
}

/** A body of one colour or pattern, or a model, whose colours are its own. */
export interface Solid {
  readonly shape: 'box' | 'cylinder' | 'sphere' | Model;
  readonly size: Vec3;
  /** Its middle. */
  readonly at: Vec3;
  /** Radians about x, y and z; about y last. */
  readonly turn?: Vec3;
  /** Width and depth of the top as parts of those of the bottom; default 1, 1. */
  readonly taper?: readonly [number, number];
  readonly colour: string;
  readonly pattern?: Pattern;
  /** Shines by itself: no light falls on it. */
  readonly glows?: boolean;
  /** Lets the light of lamps through: walls and ceilings that would keep it off. */
  readonly isClear?: boolean;
  /** Index of the thing that it belongs to. */
  readonly thing?: number;
}

/** A line of text on a panel. */
export interface PanelText {
  readonly text: string;
  /** Middle of the line in metres from the panel's middle, y up; its left or right end where it is aligned so. */
  readonly x: number;
  readonly y: number;
  /** Height of a capital letter; less where the line would leave the panel. */
  readonly cap: number;
  readonly align?: 'left' | 'right';
  readonly font: string;
  readonly ink: string;
  /** Degrees clockwise; 90 is read from top to bottom. */
  readonly turned?: 90;
  /** By what sentences name it. */
  readonly key?: string;
  /** What it answers, and which texts are confused with it. */
  readonly question?: string;
  readonly kind?: string;
}

/** A figure on a panel, in metres from its middle, y up. */
export type Mark =
  | {
      readonly shape: 'rect';
      readonly box: readonly [x1: number, y1: number, x2: number, y2: number];
      readonly colour: string;
    }
  | {
      readonly shape: 'disc';
      readonly x: number;
      readonly y: number;
      readonly radius: number;
      readonly colour: string;
    }
  | {
      readonly shape: 'line';
      readonly points: readonly (readonly [number, number])[];
      readonly width: number;
      readonly colour: string;
    };

/** A plane with texts and marks, seen from its front. */
export interface Panel {
  /** Width and height. */
  readonly size: readonly [number, number];
  readonly at: Vec3;
  readonly turn?: Vec3;
  readonly back: string;
  readonly border?: string;
  readonly radius?: number;
  readonly glows?: boolean;
  readonly texts?: readonly PanelText[];
  readonly marks?: readonly Mark[];
  /** Address of an image that covers it. */
  readonly image?: string;
  readonly thing?: number;
  /** A question that the look of the panel answers, with all that could be answered; `size`: metres of what must be told apart. */
  readonly asks?: {
    readonly question: string;
    readonly kind: string;
    readonly answer: string;
    readonly options: readonly string[];
    /** Addresses of images of the options, where an image tells them apart. */
    readonly images?: readonly string[];
    readonly size: number;
  };
}

/** What is said of a thing: each sentence where everything that it needs, by its key, is seen. */
export interface Thing {
  readonly key: string;
  readonly sentences: readonly Sentence[];
}

/** A sentence, and keys of the texts and things that it speaks of. */
export interface Sentence {
  readonly text: string;
  readonly needs?: readonly string[];
}

/** Everything that is drawn and said. */
export interface Scene {
  /** Of the image, pixels. */
  readonly width: number;
  readonly height: number;
  readonly camera: {
    readonly at: Vec3;
    readonly target: Vec3 /** Of the height, degrees. */;
    readonly angle: number;
  };
  readonly sky: readonly [top: string, bottom: string];
  /** Sun or lamp: where it is, its strength; strength of the light from everywhere. */
  readonly light: {
    readonly at: Vec3;
    readonly strength: number;
    readonly ambient: number /** Half of what casts shadows, metres. */;
    readonly reach: number;
  };
  /** Metres at which the air hides things; absent indoors. */
  readonly fog?: readonly [near: number, far: number];
  readonly solids: readonly Solid[];
  readonly panels: readonly Panel[];
  readonly things: readonly Thing[];
  /** Of the whole image. */
  readonly sentences: readonly Sentence[];
}

/** Puts solids and panels where others are, turned about y. */
export interface Placed {
  solid(solid: Solid): void;
  panel(panel: Panel): void;
}

/** With *an* where *a* stands before the sound of a vowel. */
export const withArticles = (text: string): string => text.replace(/\b([Aa]) (?=[aeio])/g, '$1n ');

/** Collects what a scene holds. */
export class SceneBuilder implements Placed {
  readonly solids: Solid[] = [];
  readonly panels: Panel[] = [];
  readonly things: Thing[] = [];

  solid(solid: Solid): void {
    this.solids.push(solid);
  }

  panel(panel: Panel): void {
    this.panels.push(panel);
  }

  /** @returns  its index, for `thing` of solids and panels */
  thing(key: string, ...sentences: readonly Sentence[]): number {
    const said = sentences.map((sentence) => ({ ...sentence, text: withArticles(sentence.text) }));
    return this.things.push({ key, sentences: said }) - 1;
  }

  /** What is put in it is moved to a place and turned about y by radians, as a part of a thing. */
  at([x, y, z]: Vec3, yaw: number, thing?: number): Placed {
    const [cos, sin] = [Math.cos(yaw), Math.sin(yaw)];
    const moved = <T extends { readonly at: Vec3; readonly turn?: Vec3 }>(part: T): T => {
      const [a, b, c] = part.at;
      const [tx, ty, tz] = part.turn ?? [0, 0, 0];
      return {
        thing,
        ...part,
        at: [x + cos * a + sin * c, y + b, z - sin * a + cos * c],
        turn: [tx, ty + yaw, tz],
      };
    };
    return { solid: (solid) => this.solid(moved(solid)), panel: (panel) => this.panel(moved(panel)) };
  }
}
