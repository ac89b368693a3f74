// Unrolls the loops that a shader marks: a line `// unroll` asks for the loop below it, and for the loops over constants inside it. Compilers
// do this themselves, except two: with SwiftShader an array that is indexed by a loop variable stays in
// memory, which makes a matmul ten times as slow; wgpu (Deno) checks the index every time (lavapipe, 512 x
// 512 x 512: 7.6 to 21.9 GFLOP/s).

import { type Constants, constantsOf, evaluate } from './constants.ts';
import { internal } from './errors.ts';

const MARK = /^[ \t]*\/\/ unroll[ \t]*\n/m;
const LOOP = /\bfor \(var (\w+) ?= ?0u; ?\1 ?< ?([A-Z][\w */]*?); ?\1(?:\+\+| ?\+= ?([A-Z]\w*))\) ?\{/;
/** Longer loops stay loops. */
const MOST_STEPS = 32;

/**
 * The text with every marked loop unrolled.
 *
 * A marked loop runs from 0u to a product or quotient of constants, by ++ or a constant, without break, continue or return.
 */
export function unroll(text: string): string {
  const constants = constantsOf(text);
  let done = '';
  let rest = text;
  for (let mark = MARK.exec(rest); mark; mark = MARK.exec(rest)) {
    const start = mark.index + mark[0].length;
    const line = rest.slice(start).split('\n', 1)[0].trim();
    const loop = LOOP.exec(line);
    internal(loop?.index === 0, `a loop over a constant must follow "// unroll", got ${line}`);
    const open = start + rest.slice(start).indexOf('{');
    const end = closingBrace(rest, open + 1) + 1;
    const endsEarly = /\b(break|continue|return)\b/.test(rest.slice(open, end));
    internal(!endsEarly, `a loop below "// unroll" must not end early, got ${line}`);
    internal(stepsOf(loop!, constants) >= 0, `the loop below "// unroll" needs constant bounds, got ${line}`);
    done += rest.slice(0, start) + unrolled(rest.slice(start, end), constants);
    rest = rest.slice(end);
  }
  return done + rest;
}

/** Steps of a loop, NaN where a bound is no constant. */
function stepsOf([, , bound, step]: RegExpExecArray, constants: Constants): number {
  return Math.ceil(evaluate(bound, constants) / (step ? evaluate(step, constants) : 1));
}

/** The text with every loop over constants unrolled. */
function unrolled(text: string, constants: Constants): string {
  let done = '';
  let rest = text;
  for (let match = LOOP.exec(rest); match; match = LOOP.exec(rest)) {
    const [head, variable, , step] = match;
    const bodyStart = match.index + head.length;
    const bodyEnd = closingBrace(rest, bodyStart);
    const stride = step ? evaluate(step, constants) : 1;
    const steps = stepsOf(match, constants);
    if (steps <= MOST_STEPS) {
      const body = rest.slice(bodyStart, bodyEnd);
      const name = new RegExp(`\\b${variable}\\b`, 'g');
      const copies = Array.from({ length: steps }, (_, k) => `{${body.replace(name, `${k * stride}u`)}}`);
      // The copies are scanned again: loops inside have become loops over constants.
      done += rest.slice(0, match.index);
      rest = copies.join('\n') + rest.slice(bodyEnd + 1);
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
