// Compiled kernels and bind groups, each made once. Params are not part of a bind group, so a loop of equal
// steps makes none.
import type { OpenedDevice } from './adapter.ts';
import type { BufferRange, PooledBuffer } from './buffer.ts';
import type { PipelineEntry } from './commands.ts';
import { MemoryError, ShaderError } from './errors.ts';
import { type Define, IMMEDIATE_BYTES, type Kernel } from './kernel.ts';
import type { Recorder } from './recorder.ts';

/** A bind group with the ranges that it binds, three numbers each: buffer, offset, bytes. */
interface Group {
  readonly layout: GPUBindGroupLayout;
  readonly paramsBytes: number;
  readonly bound: readonly number[];
  readonly group: GPUBindGroup;
}

const NOTHING_DEFINED: Define = {};

export class Pipelines {
  readonly stats = { bindGroupsCreated: 0, pipelinesCreated: 0 };
  readonly #device: GPUDevice;
  readonly #recorder: Recorder;
  readonly #hasImmediates: boolean;
  readonly #choices: Define;
  /** By kernel and constants. */
  readonly #variants = new Map<string, PipelineEntry>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  /** By a hash: a look-up makes no object and no string. */
  readonly #groups = new Map<number, Group[]>();
  /** Hashes of the bind groups of a buffer, by its id. */
  readonly #hashesOf = new Map<number, Set<number>>();

  /** @param choices  what shaders that declare a const of these names are specialised to */
  constructor({ device, hasImmediates }: OpenedDevice, recorder: Recorder, choices: Define) {
    this.#device = device;
    this.#hasImmediates = hasImmediates;
    this.#recorder = recorder;
    this.#choices = choices;
  }

  /** The pipeline of a kernel. Its compilation begins where `ready` is read, and is waited for at a flush. */
  get(kernel: Kernel, define: Define = NOTHING_DEFINED): PipelineEntry {
    let key = `${kernel.id}`;
    for (const name in define) key += ` ${name} ${define[name]}`;
    const entry = this.#variants.get(key) ?? this.#entry(kernel, define);
    this.#variants.set(key, entry);
    return entry;
  }

  #entry(kernel: Kernel, define: Define): PipelineEntry {
    const { usesParams, paramsBytes } = kernel.reflection;
    const immediates = this.#hasImmediates && usesParams && paramsBytes <= IMMEDIATE_BYTES;
    let ready: Promise<void> | undefined;
    const compile = (): Promise<void> => this.#compile(kernel, define, entry);
    const entry: PipelineEntry = {
      label: kernel.entry,
      layout: this.#layout(kernel, immediates),
      immediates,
      paramsBytes: immediates ? Math.ceil(paramsBytes / 4) * 4 : usesParams ? paramsBytes : 0,
      pipeline: undefined,
      get ready() {
        ready ??= compile();
        return ready;
      },
    };
    return entry;
  }

  #compile(kernel: Kernel, define: Define, entry: PipelineEntry): Promise<void> {
    const { immediates, layout, paramsBytes } = entry;
    const code = kernel.specialise({ ...kernel.chosen(this.#choices), ...define }, immediates);
    const pipelineLayout: GPUPipelineLayoutDescriptor & { immediateSize?: number } = {
      bindGroupLayouts: [layout],
    };
    if (immediates) pipelineLayout.immediateSize = paramsBytes;
    // A faulty module shows as a rejected pipeline below, which tells more than the uncaptured error would.
    this.#device.pushErrorScope('validation');
    const module = this.#device.createShaderModule({ code, label: kernel.entry });
    void this.#device.popErrorScope();
    this.stats.pipelinesCreated++;
    const ready = this.#device
      .createComputePipelineAsync({
        layout: this.#device.createPipelineLayout(pipelineLayout),
        compute: { module, entryPoint: kernel.entry },
        label: kernel.entry,
      })
      .then(
        (pipeline) => {
          entry.pipeline = pipeline;
        },
        async (cause: Error) => {
          const lost = await this.#recorder.deviceLossWithin(100);
          throw lost ?? new ShaderError(await explain(kernel.entry, module, code, cause));
        },
      );
    ready.catch((error: Error) => this.#recorder.fail(error));
    return ready;
  }

  #layout(kernel: Kernel, immediates: boolean): GPUBindGroupLayout {
    const { bindings, usesParams } = kernel.reflection;
    const uniform = usesParams && !immediates;
    const key = `${uniform}|${bindings.map((b) => `${b.index}${b.writable ? 'w' : 'r'}`).join()}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = bindings.map((b) => ({
        binding: b.index,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: b.writable ? 'storage' : 'read-only-storage' },
      }));
      if (uniform)
        entries.push({
          binding: 0,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: 'uniform', hasDynamicOffset: true },
        });
      layout = this.#device.createBindGroupLayout({ entries, label: key });
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /** The bind group of a pipeline with these ranges, in the order of the kernel's bindings. */
  bindGroup(entry: PipelineEntry, kernel: Kernel, ranges: readonly BufferRange[]): GPUBindGroup {
    const { layout } = entry;
    const paramsBytes = entry.immediates ? 0 : entry.paramsBytes;
    let hash = paramsBytes + ranges.length;
    for (let i = 0; i < ranges.length; i++) {
      const { buffer, offset, sizeBytes } = ranges[i];
      hash = Math.imul(Math.imul(hash ^ buffer.id, 0x01000193) ^ offset, 0x01000193) ^ sizeBytes;
    }
    const known = this.#groups.get(hash);
    search: for (let k = 0; known && k < known.length; k++) {
      const { bound } = known[k];
      if (known[k].layout !== layout || known[k].paramsBytes !== paramsBytes) continue;
      for (let i = 0; i < ranges.length; i++) {
        const { buffer, offset, sizeBytes } = ranges[i];
        if (bound[3 * i] !== buffer.id || bound[3 * i + 1] !== offset || bound[3 * i + 2] !== sizeBytes)
          continue search;
      }
      return known[k].group;
    }
    const limit = this.#device.limits.maxStorageBufferBindingSize;
    const entries: GPUBindGroupEntry[] = kernel.reflection.bindings.map(({ name, index }, i) => {
      const { buffer, offset, sizeBytes } = ranges[i];
      if (sizeBytes > limit)
        throw new MemoryError(
          `${kernel.entry}: ${name} must fit into maxStorageBufferBindingSize = ${limit} bytes, got ${sizeBytes}. Split it by rows.`,
        );
      // Whole vec4s, as far as the buffer reaches.
      const size = Math.min(Math.max(16, Math.ceil(sizeBytes / 16) * 16), buffer.sizeBytes - offset);
      return { binding: index, resource: { buffer: buffer.gpu, offset, size } };
    });
    if (paramsBytes > 0)
      entries.push({ binding: 0, resource: { buffer: this.#recorder.ring, size: paramsBytes } });
    const group = this.#device.createBindGroup({ layout, entries });
    this.stats.bindGroupsCreated++;
    const bound = ranges.flatMap(({ buffer, offset, sizeBytes }) => [buffer.id, offset, sizeBytes]);
    this.#groups.set(hash, [...(known ?? []), { layout, paramsBytes, bound, group }]);
    for (const { buffer } of ranges) {
      const hashes = this.#hashesOf.get(buffer.id) ?? new Set();
      this.#hashesOf.set(buffer.id, hashes.add(hash));
    }
    return group;
  }

  /** Forgets the bind groups of a buffer that is destroyed. */
  forget(buffer: PooledBuffer): void {
    for (const hash of this.#hashesOf.get(buffer.id) ?? []) {
      const others = this.#groups
        .get(hash)
        ?.filter(({ bound }) => !bound.some((id, i) => i % 3 === 0 && id === buffer.id));
      if (others?.length) this.#groups.set(hash, others);
      else this.#groups.delete(hash);
    }
    this.#hashesOf.delete(buffer.id);
  }
}

/** The compiler's messages with the lines that they are about. */
async function explain(entry: string, module: GPUShaderModule, code: string, cause: Error): Promise<string> {
  const lines = code.split('\n');
  const { messages } = await module.getCompilationInfo();
  const shown = messages
    .filter((message) => message.type === 'error')
    .map(({ lineNum, message }) => {
      const around = lines.slice(Math.max(0, lineNum - 3), lineNum + 2);
      const numbered = around.map((line, i) => `${Math.max(1, lineNum - 2) + i}: ${line}`);
      return `${message}\n${numbered.join('\n')}`;
    });
  return `${entry}: the shader must compile, got ${shown.join('\n') || cause.message}`;
}
