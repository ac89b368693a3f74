/** What the study takes of jstat, which has no types of its own. */
declare module 'jstat' {
  interface Distribution<P extends unknown[]> {
    inv(p: number, ...parameters: P): number;
    cdf(x: number, ...parameters: P): number;
  }
  const jStat: {
    readonly studentt: Distribution<[dof: number]>;
    readonly normal: Distribution<[mean: number, std: number]>;
  };
  export default jStat;
}
