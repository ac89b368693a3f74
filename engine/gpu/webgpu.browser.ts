// The WebGPU of a page.
import type * as webgpu from './webgpu.ts';

export const inNode: typeof webgpu.inNode = false;

export const openGpu: typeof webgpu.openGpu = () => Promise.resolve(globalThis.navigator?.gpu);

export const chooseAdapter: typeof webgpu.chooseAdapter = () => Promise.resolve({ switches: [] });
