// WebGPU as a page has it, for libraries that look for navigator.gpu, in Node.
import { create, globals } from 'webgpu';

/** Offers Dawn as navigator.gpu. Its object lives as long as the process: collecting it early crashes Dawn. */
export function provideNavigator(): void {
  Object.assign(globalThis, globals);
  takeSharedMemory();
  const navigator = {
    gpu: create([]),
    userAgent: 'Node',
    platform: process.platform,
    hardwareConcurrency: 1,
  };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
}

/** Dawn's writeBuffer takes no views of shared memory, which is what the heap of ONNX Runtime is; here it gets a copy. */
function takeSharedMemory(): void {
  const { writeBuffer } = GPUQueue.prototype;
  GPUQueue.prototype.writeBuffer = function (buffer, offset, data, start = 0, size) {
    const view = ArrayBuffer.isView(data) ? data : new Uint8Array(data);
    if (!(view.buffer instanceof SharedArrayBuffer))
      return writeBuffer.call(this, buffer, offset, data as ArrayBuffer, start, size);
    // Start and size count elements of a typed array, bytes of anything else.
    const unit = 'BYTES_PER_ELEMENT' in data ? (data.BYTES_PER_ELEMENT as number) : 1;
    const bytes = size === undefined ? view.byteLength - start * unit : size * unit;
    const copy = new Uint8Array(view.buffer, view.byteOffset + start * unit, bytes).slice();
    return writeBuffer.call(this, buffer, offset, copy);
  };
}
