/**
 * The parser of WGSL for `engine.kernel`. Importing this module is enough; in the repository it is always there.
 *
 * @module
 */
export { reflect } from './gpu/reflect.ts';
export type { Reflection, Shader, ShaderBinding, ShaderParam } from './gpu/shader.ts';
