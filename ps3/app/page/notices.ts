// What went wrong, in sentences that say what to do.
import type { Request } from './messages.ts';

/** Why nothing can run here, as far as the page alone can tell. */
export function obstacle(): string | undefined {
  if (!isSecureContext)
    return 'WebGPU needs https or localhost, and this page came by neither. Open it through one of them, for example with npm run page.';
  if (!navigator.gpu)
    return 'This browser offers no WebGPU. Open the page in a current Chrome, Edge, Safari or Firefox; in Chrome on Linux, WebGPU may have to be switched on at chrome://flags/#enable-unsafe-webgpu.';
  return undefined;
}

/** Why an address cannot be loaded, if so: the page's policy lets nothing else through. */
export function addressFault(address: string): string | undefined {
  if (/^(https|hf):\/\//.test(address) || address.startsWith(`${location.origin}/`)) return undefined;
  return `An address must begin with https:// or hf://, got ${address || 'none'}. Checkpoints on this machine are opened as a folder.`;
}

/** An error of the worker. */
export function notice(during: Request['kind'], code: string, message: string): string {
  // Errors begin with the op that threw them, which says nothing on a page.
  const said = sentence(message);
  switch (code) {
    case 'adapter':
      return `No GPU adapter answered. Turn on graphics acceleration in the browser's settings, update the graphics driver and look at chrome://gpu for the reason; in Chrome on Linux, start it with --enable-unsafe-webgpu. (${said})`;
    case 'device-lost':
      return 'The GPU device was lost, and the model with it. Close what else uses the GPU and load the checkpoint again.';
    case 'memory':
      // The rest of the message is advice for programs.
      return `The GPU has not enough memory. ${said.split(/\. (?=[A-Z])/)[0].replace(/\.$/, '')}. Lower the budget, choose bf16 for the weights, or close what else uses the GPU.`;
    case 'image':
      return `${said} Choose a JPEG, PNG, WebP, AVIF or GIF file.`;
    case 'config':
    case 'safetensors':
    case 'tokenizer':
      return `The checkpoint cannot be loaded. ${said} It must be a folder with config.json, tokenizer.json, tokenizer_config.json and model.safetensors, or its shards with their index, or that of a VILA-HD with config.json, llm, vision_tower and mm_projector.`;
  }
  if (during === 'load')
    return `The checkpoint could not be loaded: ${said} Check the address and the connection, then load it again.`;
  return `It stopped at an error. Reload this page and try again; if it stays, report it with this message: ${said}`;
}

function sentence(message: string): string {
  const [first] = message.split('\n');
  const plain = first.replace(/^\w+: /, '');
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}${/[.!?]$/.test(plain) ? '' : '.'}`;
}
