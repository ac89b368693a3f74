// The engine in Deno: the examples on the installed package.
import { Engine } from 'ps3-webgpu/engine';
import { runExamples } from '../run_examples.ts';

console.log(await runExamples(await Engine.create()));
