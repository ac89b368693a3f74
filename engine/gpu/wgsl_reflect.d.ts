declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export {
    ArrayInfo,
    detectRaces,
    ResourceType,
    TypedData,
    TypeInfo,
    WgslReflect,
    WorkgroupScheduler,
  } from 'wgsl_reflect';
}
