export type { SamplingOptions } from '../engine/index.ts';
export type { Annotation, AskedQuestion, Sample } from './data/annotations.ts';
export type { Box } from './data/boxes.ts';
export type { CaptionOptions } from './data/captions.ts';
export type {
  CollectionPlaces,
  CollectionSource,
  Fingerprint,
  SourceCursor,
  StreamCursor,
} from './data/collection.ts';
export { type PackedBatch, packBatch, padBatch, type TokenBatch } from './language/batch.ts';
export { CHAT_TEMPLATE, type ChatMessage } from './language/chat.ts';
export type { LanguageStorage } from './language/checkpoint.ts';
export { type LanguageConfig, type LanguageSizes, languageConfig } from './language/config.ts';
export { LanguageCore } from './language/core.ts';
export type { DecoderOptions } from './language/decoder.ts';
export type { Generated, GeneratedToken, GenerateOptions, Prompt } from './language/generate.ts';
export { IGNORED } from './language/labels.ts';
export {
  type LanguageAllocateOptions,
  type LanguageCreateOptions,
  type LanguageLoadOptions,
  LanguageModel,
} from './language/language_model.ts';
export {
  type EncodedChat,
  LanguageTokenizer,
  type LanguageTokenizerFiles,
  type TokenDecoder,
} from './language/tokenizer.ts';
export { type TrainTokenizerOptions, trainTokenizer } from './language/train_tokenizer.ts';
export type { FillOptions, OpenOptions, WeightDType } from './model/checkpoint/checkpoint.ts';
export type {
  CheckpointFiles,
  CheckpointSource,
  DownloadOptions,
  Fetched,
} from './model/checkpoint/files.ts';
export type { InitOptions } from './model/checkpoint/init.ts';
export { NANO_4K, VILA_4K, VILA_S } from './model/checkpoint/shipped.ts';
export type { SaveOptions } from './model/checkpoint/writer.ts';
export {
  type AdapterConfig,
  type AttnPoolConfig,
  type AuxEncoderConfig,
  ConfigError,
  type ImageConfig,
  type ModelConfig,
  type TextCleaning,
  type TextConfig,
  type VisionConfig,
} from './model/config/config.ts';
export { parseHubConfig, parseVisionConfig } from './model/config/hub_config.ts';
export type { LookSizes } from './model/config/look_sizes.ts';
export type { AllocateOptions, IsLocked, ModelCore } from './model/core.ts';
export { type EncodingCost, encodingCost, plainVitCost, type TowerSizes } from './model/cost.ts';
export { Encoding } from './model/encoding.ts';
export {
  type DecodedImage,
  type DecodeOptions,
  decodeImage,
  ImageError,
  resizeToSquare,
} from './model/image.ts';
export type { LookResult, StreamOptions } from './model/looks.ts';
export { PARTS, type Part } from './model/parts.ts';
export { type CreateOptions, type LoadOptions, PS3, type StartOptions } from './model/ps3.ts';
export type { EncodeOptions } from './model/query.ts';
export type { Region } from './model/region.ts';
export type { PoolOptions, Similarity } from './model/similarity.ts';
export type { TextOutput } from './model/text/text.ts';
export {
  buildWordTokenizer,
  type JsonFile,
  Tokenizer,
  type TokenizerFiles,
  type WordTokenizerOptions,
} from './model/text/tokenizer.ts';
export { TokenizerError } from './model/text/tokenizer_error.ts';
export type { LookAmount } from './model/vision/look_plan.ts';
export type { Grid } from './model/vision/scales.ts';
export type { PatchSelection, SelectionFeatures, SelectionMap } from './model/vision/selection.ts';
export { type Look, mergeLooks } from './model/vision/token_maps.ts';
export { VisionModel } from './model/vision/vision.ts';
export type {
  Glance,
  LookOptions,
  LowRes,
  MapOptions,
  Maps,
  VisionOutput,
} from './model/vision/vision_types.ts';
export type { CheckpointBlocks } from './model/vision/vit.ts';
export type { Transport } from './ranks/transport.ts';
export { BatchLoader, type BatchLoaderOptions } from './train/batch_loader.ts';
export {
  type Batches,
  type Cursor,
  type HostBatch,
  type HostTensor,
  type Loaded,
  type Made,
  upload,
} from './train/batches.ts';
export {
  type BaselineConfig,
  type Method,
  type ModelSizes,
  parseTrainConfig,
  RECIPE_NAMES,
  type Recipe,
  type StageConfig,
  type TrainConfig,
} from './train/config.ts';
export type { ShownCrops } from './train/crop_features.ts';
export type {
  AnnotatedConfig,
  DataSection,
  NativeCropsConfig,
  Range,
  SamplingSection,
  WindowConfig,
} from './train/data_config.ts';
export { type EvaluateOptions, type Evaluation, evaluate } from './train/evaluate.ts';
export type { Estimate } from './train/evaluation/intervals.ts';
export type { BySize, MapName, SelectionProtocols, SelectionResult } from './train/evaluation/located.ts';
export type {
  Classification,
  LocalRetrieval,
  Protocols,
  RetrievalResult,
  TwoWays,
} from './train/evaluation/protocols.ts';
export type { ObjectSize } from './train/evaluation/selection.ts';
export type { BatchModel, ImageSource } from './train/image_source.ts';
export type { LockConfig } from './train/lock.ts';
export {
  type Batch,
  type Losses,
  type LossOptions,
  pretrainLoss,
  type TrainOutput,
} from './train/loss.ts';
export type { Metric, Speed } from './train/metrics.ts';
export type { StageOptions } from './train/optimise.ts';
export type { PrecisionSection } from './train/precision_config.ts';
export { type ConfigSources, PRESETS, presetConfig, trainConfig } from './train/presets.ts';
export type { Saved } from './train/run/checkpoint.ts';
export type { StoreState } from './train/run/state.ts';
export {
  InterruptedError,
  type Notice,
  type Progress,
  RunError,
  RunFolder,
  type TrainingState,
} from './train/run.ts';
export {
  type CropAccuracyOptions,
  type CropBatch,
  type CropSource,
  type Crops,
  cropAccuracy,
  towersLoss,
} from './train/towers.ts';
export { trainPS3, trainTowers } from './train/train.ts';
export type { VilaSection } from './train/vila_config.ts';
export type { Question } from './vila/answer.ts';
export type { VilaLoadOptions } from './vila/checkpoint.ts';
export type { EncoderConfig, VilaConfig } from './vila/config.ts';
export {
  groundingLoss,
  type VilaGrounding,
  type VilaLoss,
  type VilaLossOptions,
  type VilaSample,
  vilaLoss,
} from './vila/loss.ts';
export type { Groups, Projector } from './vila/projector.ts';
export type { VilaTokens } from './vila/sequence.ts';
export { VilaModel } from './vila/vila.ts';
export type {
  Prefix,
  Recorder,
  Seen,
  VilaEncoder,
  VilaLook,
  VilaLookOptions,
  VilaSizes,
} from './vila/vila_types.ts';
