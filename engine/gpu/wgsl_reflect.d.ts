declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export { detectRaces, ResourceType, TypeInfo, WgslReflect, WorkgroupScheduler } from 'wgsl_reflect';
}
