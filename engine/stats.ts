// What can be counted of an engine.

/** What an engine holds and has done. */
export interface EngineStats {
  /** Tensor handles not yet disposed. */
  liveTensors: number;
  /** Bytes of buffers that live tensors use. */
  liveBytes: number;
  /** Highest `liveBytes` since the start or `resetPeak()`. */
  peakBytes: number;
  /** Bytes kept for reuse. */
  pooledBytes: number;
  /** Totals since the start; a loop of equal steps adds to `dispatches`, `flops` and `submits` only. */
  buffersCreated: number;
  /** Bind groups made since the start. */
  bindGroupsCreated: number;
  /** Kernels compiled since the start, each specialisation counted. */
  pipelinesCreated: number;
  /** Kernel runs since the start. */
  dispatches: number;
  /** Floating-point operations of these runs, as the kernels declare them: as in `StepPlan`. */
  flops: number;
  /** Command buffers submitted to the GPU since the start. */
  submits: number;
}
