export type { Annotation, Sample } from './data/annotations.ts';
export type { Box } from './data/boxes.ts';
export type { FillOptions, OpenOptions, WeightDType } from './model/checkpoint/checkpoint.ts';
export type { CheckpointSource, DownloadOptions } from './model/checkpoint/files.ts';
export type { InitOptions } from './model/checkpoint/init.ts';
export type { SaveOptions } from './model/checkpoint/writer.ts';
export {
  type AdapterConfig,
  type AttnPoolConfig,
  type AuxEncoderConfig,
  ConfigError,
  type ImageConfig,
  type ModelConfig,
  selectionBudgets,
  type TextConfig,
  type VisionConfig,
} from './model/config/config.ts';
export { parseHubConfig, parseTextConfig, parseVisionConfig } from './model/config/hub_config.ts';
export { toHubConfig } from './model/config/hub_config_writer.ts';
export { configFromTensors } from './model/config/tensor_config.ts';
export { type AllocateOptions, GROUPS, ModelCore } from './model/core.ts';
export { Encoding } from './model/encoding.ts';
export {
  type DecodedImage,
  type DecodeOptions,
  decodeImage,
  ImageError,
  resizeToSquare,
} from './model/image.ts';
export type { LookResult, StreamOptions } from './model/looks.ts';
export { type LoadOptions, PS3 } from './model/ps3.ts';
export type { EncodeOptions } from './model/query.ts';
export { nearness, type Region } from './model/region.ts';
export type { PoolOptions, Similarity } from './model/similarity.ts';
export { canonicalize } from './model/text/canonicalize.ts';
export { encodeText, type TextOutput } from './model/text/text.ts';
export {
  buildWordTokenizer,
  type JsonFile,
  Tokenizer,
  type TokenizerFiles,
  vocabularyRepo,
} from './model/text/tokenizer.ts';
export { TokenizerError } from './model/text/tokenizer_error.ts';
export { type LookAmount, planLooks } from './model/vision/look_plan.ts';
export { type Grid, scaleGrids, scaleSizes } from './model/vision/scales.ts';
export type { PatchSelection, SelectionFeatures, SelectionMap } from './model/vision/selection.ts';
export { featureMaps, type Look, mergeLooks } from './model/vision/token_maps.ts';
export {
  type LookOptions,
  type LowRes,
  type MapOptions,
  type Maps,
  VisionModel,
  type VisionOutput,
} from './model/vision/vision.ts';
export { BatchLoader, type BatchLoaderOptions, captionIds, classesOf } from './train/batch_loader.ts';
export { type Evaluation, evaluate, imageBatch } from './train/evaluate.ts';
export {
  type Ablations,
  type Batch,
  type Losses,
  pretrainLoss,
  type Recipe,
  type TrainOutput,
} from './train/loss.ts';
export type { Metric } from './train/metrics.ts';
export { PRESETS, type Preset, presetConfig, type StagePreset } from './train/presets.ts';
export { type Progress, type RunConfig, RunError, RunFolder } from './train/run.ts';
export { type CropBatch, type CropSource, cropAccuracy, towersLoss } from './train/towers.ts';
export { type StageOptions, trainPS3, trainTowers } from './train/train.ts';
