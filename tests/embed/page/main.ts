// The engine in a page: the examples on the installed package.
import { Engine } from 'ps3-webgpu/engine';
import { runExamples } from '../run_examples.ts';

document.body.textContent = await runExamples(await Engine.create()).catch(
  (error: Error) => error.stack ?? String(error),
);
