// Compiled kernels and bind groups, each made once. Params are not part of a bind group, so a steady loop makes none.
import type { OpenedDevice } from './adapter.ts';
import type { BufferRange, PooledBuffer } from './buffer.ts';
import { ShaderError } from './errors.ts';
import { type Define, IMMEDIATE_BYTES, type Kernel } from './kernel.ts';
import type { PipelineEntry, Recorder } from './recorder.ts';

export class Pipelines {
  readonly stats = { bindGroupsCreated: 0, pipelinesCreated: 0 };
  readonly #device: GPUDevice;
  readonly #recorder: Recorder;
  readonly #hasImmediates: boolean;
  readonly #needsUnrolling: boolean;
  readonly #rowWorkgroup: number;
  readonly #pipelines = new Map<string, PipelineEntry>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #bindGroupKeys = new Map<number, Set<string>>();

  /** @param rowWorkgroup  what shaders that declare `const WG` are specialised to */
  constructor(
    { device, hasImmediates, needsUnrolling }: OpenedDevice,
    recorder: Recorder,
    rowWorkgroup: number,
  ) {
    this.#device = device;
    this.#hasImmediates = hasImmediates;
    this.#needsUnrolling = needsUnrolling;
    this.#recorder = recorder;
    this.#rowWorkgroup = rowWorkgroup;
  }

  /** The pipeline of a kernel; its compilation begins with the first call and is waited for at a flush. */
  get(kernel: Kernel, define: Define | undefined): PipelineEntry {
    const key = define ? `${kernel.id}|${JSON.stringify(define)}` : `${kernel.id}`;
    let entry = this.#pipelines.get(key);
    if (!entry) {
      entry = this.#compile(kernel, define);
      this.#pipelines.set(key, entry);
    }
    return entry;
  }

  #compile(kernel: Kernel, define: Define | undefined): PipelineEntry {
    const { usesParams, paramsBytes } = kernel.reflection;
    const immediates = this.#hasImmediates && usesParams && paramsBytes <= IMMEDIATE_BYTES;
    const full: Define = kernel.hasRowWorkgroup ? { WG: this.#rowWorkgroup, ...define } : (define ?? {});
    const code = kernel.specialise(full, immediates, this.#needsUnrolling);
    const layout = this.#layout(kernel, immediates);
    const immediateSize = immediates ? Math.ceil(paramsBytes / 4) * 4 : 0;
    const pipelineLayout: GPUPipelineLayoutDescriptor & { immediateSize?: number } = {
      bindGroupLayouts: [layout],
    };
    if (immediates) pipelineLayout.immediateSize = immediateSize;
    // A faulty module shows as a rejected pipeline below, which tells more than the uncaptured error would.
    this.#device.pushErrorScope('validation');
    const module = this.#device.createShaderModule({ code, label: kernel.entry });
    void this.#device.popErrorScope();
    this.stats.pipelinesCreated++;
    const entry: PipelineEntry = {
      label: kernel.entry,
      layout,
      immediates,
      paramsBytes: immediates ? immediateSize : usesParams ? paramsBytes : 0,
      pipeline: undefined,
      ready: this.#device
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
            throw new ShaderError(await explain(kernel.entry, module, code, cause));
          },
        ),
    };
    entry.ready.catch((error: Error) => this.#recorder.fail(error));
    return entry;
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
    const { bindings, usesParams } = kernel.reflection;
    const uniform = usesParams && !entry.immediates;
    let key = `${entry.layout.label}`;
    if (uniform) key += `|${entry.paramsBytes}`;
    for (const range of ranges) key += `|${range.buffer.id},${range.offset},${range.sizeBytes}`;
    const known = this.#bindGroups.get(key);
    if (known) return known;
    const entries: GPUBindGroupEntry[] = bindings.map(({ index }, i) => {
      const { buffer, offset, sizeBytes } = ranges[i];
      // Whole vec4s, as far as the buffer reaches.
      const size = Math.min(Math.max(16, Math.ceil(sizeBytes / 16) * 16), buffer.sizeBytes - offset);
      return { binding: index, resource: { buffer: buffer.gpu, offset, size } };
    });
    if (uniform)
      entries.push({ binding: 0, resource: { buffer: this.#recorder.ring, size: entry.paramsBytes } });
    const group = this.#device.createBindGroup({ layout: entry.layout, entries });
    this.stats.bindGroupsCreated++;
    this.#bindGroups.set(key, group);
    for (const { buffer } of ranges) {
      const keys = this.#bindGroupKeys.get(buffer.id) ?? new Set();
      this.#bindGroupKeys.set(buffer.id, keys.add(key));
    }
    return group;
  }

  /** Lets go of the bind groups of a buffer that goes away. */
  forget(buffer: PooledBuffer): void {
    for (const key of this.#bindGroupKeys.get(buffer.id) ?? []) this.#bindGroups.delete(key);
    this.#bindGroupKeys.delete(buffer.id);
  }
}

/** The compiler's messages with the lines they speak of. */
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
