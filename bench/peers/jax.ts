// jax-js: https://github.com/ekzhang/jax-js. Functions own their arguments; `.ref` keeps one for another use.
import { VIT, vitBatch, vitWeights } from '../vit.bench.ts';
import type { Jax, JaxArray } from './jax_api.ts';
import { prepareDecoder } from './jax_decoder.ts';
import { labelled, type Operand, type Peer, type PeerOp, type PeerRun, separated } from './peer.ts';

/** Node 20 lacks the iterator helpers that jax-js calls. */
function provideIteratorHelpers(): void {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  const add = (
    name: string,
    value: (this: Iterable<unknown>, each: (item: unknown) => unknown) => unknown,
  ) => {
    if (!(name in prototype))
      Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  };
  add('map', function* (each) {
    for (const item of this) yield each(item);
  });
  add('filter', function* (each) {
    for (const item of this) if (each(item)) yield item;
  });
}

/** @param url  of the package's module */
export async function openJax(url: string): Promise<Peer> {
  provideIteratorHelpers();
  const jax: Jax = await import(url);
  const devices = await jax.init('webgpu');
  if (!devices.includes('webgpu'))
    throw new Error(`jax-js: WebGPU must be among its devices, got ${devices}.`);
  jax.defaultDevice('webgpu');
  return {
    library: 'jax-js',
    prepare: (op, operands, copies) => {
      if (op.name === 'vitStep') return prepareVit(jax);
      if (op.name === 'decoder') return op.task.storage === 'f32' ? prepareDecoder(jax, op.task) : undefined;
      const run = operation(jax, op);
      const given = givenTo(op, operands);
      return run && prepare(jax, run, given, copies);
    },
  };
}

/** Operands as the function of an op takes them. */
function givenTo(op: PeerOp, operands: readonly Operand[]): readonly Operand[] {
  if (op.name === 'attention') return separated(operands, op.heads);
  return op.name === 'linearCrossEntropy' ? labelled(operands) : operands;
}

/** The op as a function that consumes its arguments; of several results, the last is the one to check. */
function operation({ numpy, nn, lax }: Jax, op: PeerOp): ((...args: JaxArray[]) => JaxArray[]) | undefined {
  switch (op.name) {
    case 'matmul':
      return (a, b) => [numpy.matmul(a, b)];
    case 'softmax':
      return (x) => [nn.softmax(x, -1)];
    case 'layerNorm':
      return (x, gamma, beta) => [nn.standardize(x, -1, { epsilon: op.eps }).mul(gamma).add(beta)];
    case 'gelu':
      return (x) => [nn.gelu(x, { approximate: false })];
    case 'attention':
      return (q, k, v) => [nn.dotProductAttention(q, k, v)];
    case 'causalAttention':
      return (q, k, v) => [nn.dotProductAttention(q, k, v, { isCausal: true })];
    case 'linearCrossEntropy':
      return (x, weight, labels, shares) => {
        const logs = nn.logSoftmax(numpy.matmul(x, weight.transpose([1, 0])), -1);
        return [numpy.takeAlongAxis(logs, labels, 1).mul(shares).sum()];
      };
    case 'topK':
      return (x) => lax.topK(x, op.k);
    case 'gather':
      return (table, indices) => [numpy.take(table, indices, 0)];
    case 'add':
      return (a, b) => [a.add(b)];
    case 'sum':
      return (x) => [x.sum(op.axis)];
    case 'permute':
      return (x) => [x.transpose(op.order)];
  }
}

async function prepare(
  jax: Jax,
  run: (...args: JaxArray[]) => JaxArray[],
  operands: readonly Operand[],
  copies: number,
): Promise<PeerRun> {
  const sets = Array.from({ length: copies }, () =>
    operands.map(({ data, shape }) =>
      jax.numpy.array(data instanceof Uint32Array ? Int32Array.from(data) : data, { shape }),
    ),
  );
  await jax.blockUntilReady(sets.flat());
  let turn = 0;
  const compiled = jax.jit(run);
  let latest: JaxArray[] = [];
  const drop = (): void => {
    for (const array of latest) array.dispose();
    latest = [];
  };
  return {
    // Work is lazy: a result that is dropped before it is waited for is never computed, so all are kept until the end.
    run: async (count) => {
      drop();
      for (let i = 0; i < count; i++)
        latest.push(...compiled(...sets[turn++ % copies].map(({ ref }) => ref)));
      await jax.blockUntilReady(latest);
    },
    read: () => latest[latest.length - 1].ref.data(),
    dispose: async () => {
      drop();
      for (const input of sets.flat()) input.dispose();
    },
  };
}

interface VitState {
  readonly loss: JaxArray;
  readonly weights: readonly JaxArray[];
  readonly moments1: readonly JaxArray[];
  readonly moments2: readonly JaxArray[];
  readonly steps: JaxArray;
}

async function prepareVit(jax: Jax): Promise<PeerRun> {
  const { numpy, nn } = jax;
  const { B, T, P, D, depth, H, V } = VIT;
  const forward = (weights: readonly JaxArray[], patches: JaxArray, classes: JaxArray): JaxArray => {
    let used = 0;
    const next = (): JaxArray => weights[used++];
    const linear = (x: JaxArray): JaxArray => numpy.matmul(x, next()).add(next());
    const norm = (x: JaxArray): JaxArray => nn.standardize(x, -1, { epsilon: 1e-5 }).mul(next()).add(next());
    let x = linear(patches).add(next());
    for (let i = 0; i < depth; i++) {
      const [q, k, v] = numpy.split(linear(norm(x.ref)), 3, -1).map((part) => part.reshape([B, T, H, D / H]));
      x = x.add(linear(nn.dotProductAttention(q, k, v).reshape([B, T, D])));
      x = x.add(linear(nn.gelu(linear(norm(x.ref)), { approximate: false })));
    }
    const logits = linear(norm(x).mean(1));
    return nn
      .logSoftmax(logits, -1)
      .mul(classes)
      .sum()
      .mul(-1 / B);
  };
  const [lr, beta1, beta2, eps] = [1e-3, 0.9, 0.999, 1e-8];
  const step = jax.jit(
    ({ weights, moments1, moments2, steps }: VitState, x: JaxArray, y: JaxArray): VitState => {
      const [loss, gradients] = jax.valueAndGrad(forward)(
        weights.map(({ ref }) => ref),
        x,
        y,
      );
      const count = steps.add(1);
      const correction1 = numpy.subtract(1, numpy.power(beta1, count.ref));
      const correction2 = numpy.subtract(1, numpy.power(beta2, count.ref));
      const m = moments1.map((moment, i) => moment.mul(beta1).add(gradients[i].ref.mul(1 - beta1)));
      const v = moments2.map((moment, i) =>
        moment.mul(beta2).add(gradients[i].ref.mul(gradients[i]).mul(1 - beta2)),
      );
      const moved = weights.map((weight, i) => {
        const root = numpy.sqrt(v[i].ref.div(correction2.ref)).add(eps);
        return weight.sub(m[i].ref.div(correction1.ref).mul(lr).div(root));
      });
      correction1.dispose();
      correction2.dispose();
      return { loss, weights: moved, moments1: m, moments2: v, steps: count };
    },
  );
  const zeros = (): JaxArray[] => vitWeights().map(({ shape }) => numpy.zeros(shape));
  let state: VitState = {
    loss: numpy.array([0]),
    weights: vitWeights().map(({ values, shape }) => numpy.array(values, { shape })),
    moments1: zeros(),
    moments2: zeros(),
    steps: numpy.array(0),
  };
  const batch = vitBatch();
  const patches = numpy.array(batch.patches, { shape: [B, T, P] });
  const classes = numpy.array(batch.classes, { shape: [B, V] });
  return {
    run: async (count) => {
      for (let i = 0; i < count; i++) state = step(state, patches.ref, classes.ref);
      await jax.blockUntilReady(leaves(state));
    },
    read: () => state.loss.ref.data(),
    dispose: async () => {
      for (const array of [...leaves(state), patches, classes]) array.dispose();
    },
  };
}

function leaves({ loss, weights, moments1, moments2, steps }: VitState): JaxArray[] {
  return [loss, ...weights, ...moments1, ...moments2, steps];
}
