// Runs one recorded kernel in wgsl_reflect's interpreter, where the invocations of a workgroup wait for each other at barriers, and
// reports which of them touch the same memory between two barriers without an order.

import { ArrayInfo, detectRaces, TypedData, WorkgroupScheduler } from 'wgsl_reflect/wgsl_reflect.module.js';

/** What the scheduler keeps of an invocation; state 0 runs, 1 waits at a barrier, 2 is done. */
interface Invocation {
  readonly index: number;
  readonly stack: object;
  state: number;
  barrierNode: object | null;
}

interface Scheduler {
  readonly _invocations: Invocation[];
  readonly _tracker: { currentInvocation: number; currentLine: number; endPhase(): void };
  readonly _debug: { stepStack(stack: object, into: boolean): void };
  _peek(invocation: Invocation): { readonly line: number } | null;
  _asBarrier(command: object): object | null;
  _syncBarrier(parked: readonly Invocation[]): void;
}

// One invocation after the other runs up to its barrier. The library's own order, a command of each in turn, mixes up what
// functions return, since it keeps a result in the syntax tree that all invocations share.
Object.assign(WorkgroupScheduler.prototype, {
  run(this: Scheduler): void {
    for (;;) {
      for (const invocation of this._invocations)
        while (invocation.state === 0) {
          const command = this._peek(invocation);
          const barrier = command && this._asBarrier(command);
          if (command === null) invocation.state = 2;
          else if (barrier) {
            invocation.state = 1;
            invocation.barrierNode = barrier;
          } else {
            this._tracker.currentInvocation = invocation.index;
            this._tracker.currentLine = command.line;
            this._debug.stepStack(invocation.stack, true);
          }
        }
      const parked = this._invocations.filter(({ state }) => state === 1);
      if (parked.length === 0) {
        this._tracker.endPhase();
        return;
      }
      this._syncBarrier(parked);
    }
  },
});

// The library assigns an array only where both sides share one type object, and then all of the buffer that it lies in. So it is
// copied out first and given the type object of the place where it goes.
const { setDataValue } = TypedData.prototype;
Object.assign(TypedData.prototype, {
  setDataValue(this: TypedData, ...[exec, value, place, context]: Parameters<typeof setDataValue>): void {
    let given = value;
    if (value instanceof TypedData && value.typeInfo instanceof ArrayInfo) {
      given = value.clone();
      given.typeInfo = this.typeInfo;
      for (let index = place; index && given.typeInfo instanceof ArrayInfo; index = index.postfix)
        given.typeInfo = given.typeInfo.format;
    }
    setDataValue.call(this, exec, given, place, context);
  },
});

/**
 * The same program without what the interpreter gets wrong: bool members of structs, aliases, while, and barriers that begin a
 * block, which it would step over.
 */
function plain(code: string): string {
  let barriers = 0;
  let text = code
    .replace(/^(\s+\w+ : )bool,/gm, '$1u32,')
    .replace(/\bwhile \((.*)\) \{/g, 'for (var turn = 0u; $1; turn++) {')
    .replace(/\b(workgroup|storage)Barrier\(\)/g, (call) => `let barrier_${barriers++} = 0u; ${call}`);
  for (const [line, name, type] of [...code.matchAll(/^alias (\w+) = ([^;]+);/gm)].reverse())
    text = text.replace(line, '').replace(new RegExp(`\\b${name}\\b`, 'g'), type);
  return text.replace(/(: ptr<function, .*>)>>/g, '$1> >').replace(/(ptr<function, .*)>>( ?,)/g, '$1> >$2');
}

/** GPUs allow reads behind the end of a buffer, the interpreter throws: so much is appended to each. */
const MARGIN_BYTES = 2 ** 16;

export interface Lockstep {
  /** Races and barriers that not all invocations reach, in words; empty when all is well. */
  readonly faults: readonly string[];
  /** The buffers afterwards, by binding. */
  readonly buffers: ReadonlyMap<number, ArrayBuffer>;
}

/** @param params  contents of binding 0, the uniform */
export function runInLockstep(
  code: string,
  entry: string,
  groups: readonly number[],
  params: ArrayBuffer,
  contents: ReadonlyMap<number, ArrayBuffer>,
): Lockstep {
  const buffers = new Map<number, ArrayBuffer>();
  for (const [index, bytes] of contents) {
    const copy = new Uint8Array(bytes.byteLength + MARGIN_BYTES);
    copy.set(new Uint8Array(bytes));
    buffers.set(index, copy.buffer);
  }
  const bindings = { 0: { uniform: params }, ...Object.fromEntries(buffers) };
  const { races, errors } = detectRaces(plain(code), entry, [...groups], { 0: bindings });
  return { faults: [...races.map(({ message }) => message), ...errors], buffers };
}
