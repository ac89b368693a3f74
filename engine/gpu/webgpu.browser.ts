// The WebGPU of a page.
import type * as webgpu from './webgpu.ts';

export const inNode: typeof webgpu.inNode = false;

export const openGpu: typeof webgpu.openGpu = () => Promise.resolve(globalThis.navigator?.gpu);

export const hasSelectLayer: typeof webgpu.hasSelectLayer = () => Promise.resolve(false);

export const driPrime: typeof webgpu.driPrime = () => undefined;

export const setDriPrime: typeof webgpu.setDriPrime = () => {};
