// The engine in a page: a product.
import { Engine, matmul } from 'ps3-webgpu/engine';

async function main() {
  const engine = await Engine.create();
  const x = engine.tensor([1, 2, 3, 4], [2, 2]);
  document.body.textContent = [...(await matmul(x, x).data())].join();
}

main().catch((error) => {
  document.body.textContent = String(error);
});
