// Writes out the loops of a shader whose bounds are constants, for products in registers. Compilers do this themselves, except two:
// with SwiftShader an array that is indexed by a loop variable stays in memory, which makes a product ten times as slow; wgpu (Deno)
// checks the index every time (lavapipe, 512 x 512 x 512: 7.6 to 21.9 GFLOP/s).

import { constantsOf, evaluate } from './constants.ts';

const LOOP = /\bfor \(var (\w+) ?= ?0u; ?\1 < ([A-Z][\w */]*?); ?\1(?:\+\+| ?\+= ?([A-Z]\w*))\) ?\{/;
/** Longer loops keep their form. */
const MAX_TURNS = 32;

/** The text with every loop from 0u to a constant written out; such a loop must not contain break, continue or return. */
export function unroll(text: string): string {
  const constants = constantsOf(text);
  let done = '';
  let rest = text;
  for (let match = LOOP.exec(rest); match; match = LOOP.exec(rest)) {
    const [head, variable, bound, step] = match;
    const bodyStart = match.index + head.length;
    const bodyEnd = closingBrace(rest, bodyStart);
    const body = rest.slice(bodyStart, bodyEnd);
    const stride = step ? evaluate(step, constants) : 1;
    const turns = Math.ceil(evaluate(bound, constants) / stride);
    if (turns <= MAX_TURNS && !/\b(break|continue|return)\b/.test(body)) {
      const name = new RegExp(`\\b${variable}\\b`, 'g');
      const copies = Array.from(
        { length: turns },
        (_, turn) => `{${body.replace(name, `${turn * stride}u`)}}`,
      );
      // The copies are looked at again: loops inside have become loops over constants.
      rest = rest.slice(0, match.index) + copies.join('\n') + rest.slice(bodyEnd + 1);
      done += rest.slice(0, match.index);
      rest = rest.slice(match.index);
    } else {
      done += rest.slice(0, bodyStart);
      rest = rest.slice(bodyStart);
    }
  }
  return done + rest;
}

/** Index of the brace that closes the one before `start`. */
function closingBrace(text: string, start: number): number {
  let depth = 1;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return text.length;
}
