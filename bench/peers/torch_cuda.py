"""PyTorch on the shapes of this benchmark: python3 torch_cuda.py --json FILE, then npm run bench -- --merge FILE.

f32 without TF32, and bf16 with the fused attention. Inputs lie on the device, in as many copies as exceed its caches; runs take
these in turn. Times are those of CUDA events around as many runs as fill 20 ms. A result is compared with the same op in float64 before it is timed. `--device cpu` tries it without a GPU.
"""

import argparse
import datetime
import itertools
import json
import math
import platform
import statistics
import sys
import time

import torch
import torch.nn.functional as F

SAMPLE_MS = 20
MAX_RUNS = 256
# Copies of the inputs: more than caches hold, as in ../measure.ts.
BEYOND_CACHES = {"cuda": 256 * 2**20, "cpu": 64 * 2**20}
MAX_COPIES = 16
# Largest error relative to the largest magnitude of the result. bf16 keeps 8 bits; a composed op rounds up to four times.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2**-6}
# Of a loss.
VIT_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2**-8}
# Longer cases are left out on a CPU.
CPU_FLOPS = 12e9
PEER = {torch.float32: "torch f32", torch.bfloat16: "torch bf16"}

generator = torch.Generator().manual_seed(1)


def normal(*shape):
    return torch.randn(*shape, generator=generator)


def matmul(M, N, K, form="NN"):
    a = normal(K, M) if form[0] == "T" else normal(M, K)
    b = normal(N, K) if form[1] == "T" else normal(K, N)
    run = lambda a, b: (a.t() if form[0] == "T" else a) @ (b.t() if form[1] == "T" else b)
    return (a, b), run, 2 * M * N * K, M * K + K * N + M * N


def batched(B, M, N, K):
    return (normal(B, M, K), normal(B, K, N)), torch.bmm, 2 * B * M * N * K, B * (M * K + K * N + M * N)


def linear_gelu(M, N, K):
    inputs = (normal(M, K), normal(N, K) / math.sqrt(K), normal(N))
    run = lambda x, weight, bias: F.gelu(F.linear(x, weight, bias), approximate="tanh")
    return inputs, run, 2 * M * N * K, M * K + K * N + M * N


def attend(q, k, v):
    """[B, H, T, K]; composed where the library has no fused attention."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1) @ v


def attention(B, T, N, H, K):
    q, k, v = normal(B, H, T, K), normal(B, H, N + T, K), normal(B, H, N + T, K)
    return (q, k, v), attend, 4 * B * T * (T + N) * H * K, B * H * K * (4 * T + 2 * N)


def attention_gradients(B, T, H, K):
    inputs = tuple(normal(B, H, T, K) for _ in range(4))

    def run(q, k, v, dout):
        q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
        return torch.autograd.grad(attend(q, k, v), (q, k, v), dout)[2]

    return inputs, run, 18 * B * T * T * H * K, 16 * B * H * T * K


def adamw(n):
    parameter, gradient = torch.nn.Parameter(normal(n)), normal(n)
    inputs = (parameter, gradient)
    optimizers = {}

    def run(parameter, gradient):
        if id(parameter) not in optimizers:
            fused = {"fused": True} if parameter.is_cuda and torch.__version__ >= "2" else {}
            optimizers[id(parameter)] = torch.optim.AdamW([parameter], lr=0, betas=(0.9, 0.95), eps=1e-6, **fused)
        parameter.grad = gradient
        optimizers[id(parameter)].step()
        return parameter.detach()

    return inputs, run, 16 * n, 7 * n


def rows(R, C, run, flops, numbers=2):
    return lambda: ((normal(R, C),), run, flops * R * C, numbers * R * C)


# Op and shape as the benchmark prints them; inputs, op, operations, numbers read and written.
CASES = {
    ("adamw", "14874624"): lambda: adamw(14874624),
    ("self_attention", "1x729+0x16x72"): lambda: attention(1, 729, 0, 16, 72),
    ("self_attention", "1x256+729x16x72"): lambda: attention(1, 256, 729, 16, 72),
    ("self_attention", "1x2560+729x16x72"): lambda: attention(1, 2560, 729, 16, 72),
    ("self_attention + gradients", "1x729x16x72"): lambda: attention_gradients(1, 729, 16, 72),
    ("permute", "729x16x72 to 16x729x72"): lambda: (
        (normal(729, 16, 72),), lambda x: x.permute(1, 0, 2).contiguous(), 0, 2 * 729 * 16 * 72),
    ("gather", "2560 of 15309x1152"): lambda: (
        (normal(15309, 1152), torch.arange(2560) * 15309 // 2560), lambda x, i: x[i], 0, 2 * 2560 * 1152),
    ("gelu erf", "729x4304"): rows(729, 4304, F.gelu, 20),
    ("gelu erf", "3289x4304"): rows(3289, 4304, F.gelu, 20),
    ("layer_norm", "729x1152"): rows(729, 1152, lambda x: F.layer_norm(x, (1152,), eps=1e-6), 8),
    ("layer_norm", "2560x1152"): rows(2560, 1152, lambda x: F.layer_norm(x, (1152,), eps=1e-6), 8),
    ("matmul NN", "512x512x512"): lambda: matmul(512, 512, 512),
    ("matmul NN", "1024x1024x1024"): lambda: matmul(1024, 1024, 1024),
    ("matmul NN", "256x4304x1152"): lambda: matmul(256, 4304, 1152),
    ("matmul NN", "16x(729x729x72)"): lambda: batched(16, 729, 729, 72),
    ("matmul NN", "3289x1152x4304"): lambda: matmul(3289, 1152, 4304),
    ("matmul NT", "729x3456x1152"): lambda: matmul(729, 3456, 1152, "NT"),
    ("matmul NT", "2560x4304x1152"): lambda: matmul(2560, 4304, 1152, "NT"),
    ("matmul TN", "1152x4304x2560"): lambda: matmul(1152, 4304, 2560, "TN"),
    ("linear + gelu", "2560x4304x1152"): lambda: linear_gelu(2560, 4304, 1152),
    ("add", "3289x1152"): lambda: ((normal(3289, 1152), normal(3289, 1152)), torch.add, 3289 * 1152, 3 * 3289 * 1152),
    ("sum", "3289x1152 over axis 1"): rows(3289, 1152, lambda x: x.sum(1), 1, numbers=1),
    ("resize bicubic", "1512x1512x3 to 378x378"): lambda: (
        (normal(1, 3, 1512, 1512),), lambda x: F.interpolate(x, (378, 378), mode="bicubic"), 0,
        3 * (1512 * 1512 + 378 * 378)),
    ("softmax", "11664x729"): rows(11664, 729, lambda x: torch.softmax(x, -1), 5),
    ("softmax", "3289x4304"): rows(3289, 4304, lambda x: torch.softmax(x, -1), 5),
    ("top_k", "2560 of 15309"): lambda: ((normal(1, 15309),), lambda x: torch.topk(x, 2560).values, 0, 15309),
    ("top_k", "2134 of 72900"): lambda: ((normal(1, 72900),), lambda x: torch.topk(x, 2134).values, 0, 72900),
}

# The model of ../vit.bench.ts.
VIT = ("vit training step", "4x196x192, depth 4")
B, T, P, D, DEPTH, H, MLP, V = 4, 196, 768, 192, 4, 3, 768, 100


def uniform(length, seed, scale):
    """xorshift32, as in ../vit.bench.ts."""
    state = seed * 2654435761 & 0xFFFFFFFF
    numbers = [0.0] * length
    for i in range(length):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        numbers[i] = (state / 2**31 - 1) * scale
    return torch.tensor(numbers, dtype=torch.float32)


def vit_weights():
    seed = 100
    weights = []

    def linear(inputs, outputs):
        nonlocal seed
        weights.append(uniform(inputs * outputs, seed, math.sqrt(3 / inputs)).reshape(inputs, outputs))
        weights.append(torch.zeros(outputs))
        seed += 1

    def norm():
        weights.extend((torch.ones(D), torch.zeros(D)))

    linear(P, D)
    weights.append(uniform(T * D, seed, 0.02).reshape(T, D))
    seed += 1
    for _ in range(DEPTH):
        norm(), linear(D, 3 * D), linear(D, D), norm(), linear(D, MLP), linear(MLP, D)
    norm(), linear(D, V)
    return weights


class Vit:
    """Forward, backward and AdamW; matrices are [in, out]. In bf16, by autocast with f32 weights."""

    def __init__(self, weights, device, dtype):
        kept = torch.float64 if dtype == torch.float64 else torch.float32
        self.weights = [weight.to(device, kept, copy=True).requires_grad_() for weight in weights]
        self.patches = uniform(B * T * P, 77, 1).reshape(B, T, P).to(device, kept)
        self.classes = torch.tensor([(b * 13 + 1) % V for b in range(B)], device=device)
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16)
        fused = {"fused": True} if device == "cuda" and torch.__version__ >= "2" else {}
        self.optimizer = torch.optim.AdamW(self.weights, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, **fused)

    def forward(self):
        left = iter(self.weights)
        linear = lambda x: x @ next(left) + next(left)
        norm = lambda x: F.layer_norm(x, (D,), next(left), next(left), 1e-5)
        x = linear(self.patches) + next(left)
        for _ in range(DEPTH):
            q, k, v = (y.reshape(B, T, H, D // H).transpose(1, 2) for y in linear(norm(x)).split(D, -1))
            x = x + linear(attend(q, k, v).transpose(1, 2).reshape(B, T, D))
            x = x + linear(F.gelu(linear(norm(x))))
        return F.cross_entropy(linear(norm(x).mean(1)), self.classes)

    def step(self):
        with self.autocast:
            loss = self.forward()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def finish(device):
    if device == "cuda":
        torch.cuda.synchronize()


def elapsed_ms(device, run, count):
    """Per run, of `count` runs one after the other."""
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(count):
            run()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / count
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) * 1000 / count


def measure(device, run, seconds):
    """Median, median absolute deviation, runs in a sample; after warm-ups."""
    for _ in range(3):
        once_ms = elapsed_ms(device, run, 1)
    count = min(MAX_RUNS, max(1, math.ceil(SAMPLE_MS / once_ms)))
    elapsed_ms(device, run, count)
    samples = []
    end = time.perf_counter() + seconds
    while len(samples) < 3 or (time.perf_counter() < end and len(samples) < 101):
        samples.append(elapsed_ms(device, run, count))
    median = statistics.median(samples)
    return median, statistics.median(abs(sample - median) for sample in samples), count


def to_device(tensor, device, dtype):
    moved = tensor.detach().to(device, dtype if tensor.is_floating_point() else None, copy=True)
    return torch.nn.Parameter(moved) if isinstance(tensor, torch.nn.Parameter) else moved


def prepare(make, device, dtype):
    """The op bound to inputs on the device, and its error: absolute, and relative to the largest magnitude."""
    inputs, run, flops, numbers = make()
    rounded = [to_device(x, "cpu", dtype) for x in inputs]
    want = run(*(to_device(x, "cpu", torch.float64) for x in rounded))
    on_device = [to_device(x, device, dtype) for x in rounded]
    error = (run(*on_device).to("cpu", torch.float64) - want).abs().max().item()
    size = torch.finfo(dtype).bits // 8
    copies = min(MAX_COPIES, math.ceil(BEYOND_CACHES[device] / (numbers * size)))
    sets = itertools.cycle([on_device] + [[to_device(x, device, dtype) for x in rounded] for _ in range(copies - 1)])
    return lambda: run(*next(sets)), flops, numbers * size, error, error / want.abs().max().item()


def prepare_vit(device, dtype):
    """The training step, after a check of its first losses against float64: bf16's first, all four of f32."""
    weights = vit_weights()
    exact, model = Vit(weights, "cpu", torch.float64), Vit(weights, device, dtype)
    checked = 1 if dtype == torch.bfloat16 else 4
    want = [exact.step().item() for _ in range(checked)]
    got = [model.step().item() for _ in range(checked)]
    print(f"losses in float64: {', '.join(f'{loss:.5f}' for loss in want)}", file=sys.stderr)
    error = max(abs(g - w) / w for g, w in zip(got, want))
    block = 2 * T * D * (4 * D + 2 * MLP) + 4 * T * T * D
    return model.step, 3 * B * (2 * T * P * D + DEPTH * block + 2 * D * V), None, error, error


def row(op, shape, prepared, device, dtype, seconds):
    run, flops, size_bytes, error, relative = prepared
    if not relative <= (VIT_TOLERANCE if (op, shape) == VIT else TOLERANCE)[dtype]:
        print(f"{op} {shape} {PEER[dtype]} FAILED: error {relative:.1e}", file=sys.stderr)
        return None
    median, spread, count = measure(device, run, seconds)
    print(f"{op:28} {shape:26} {PEER[dtype]:10} {median:10.4f} ms  error {error:.1e}")
    return {
        "op": op, "shape": shape, "dtype": "f32" if dtype == torch.float32 else "bf16", "tier": 0,
        "library": PEER[dtype], "medianMs": median, "spreadMs": spread, "runs": count,
        "gflops": flops / median / 1e6 if flops else None,
        "gbPerS": size_bytes / median / 1e6 if size_bytes else None,
        "percentOfPeak": None, "maxError": error,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--filter", default="", help="part of an op's name")
    parser.add_argument("--seconds", type=float, default=2, help="for each case")
    parser.add_argument("--json", help="file for the results")
    options = parser.parse_args()
    device = options.device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"torch_cuda: CUDA must be available, got torch {torch.__version__} without. Try it with --device cpu.")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    names = [name for name in [*CASES, VIT] if options.filter in name[0]]
    found = []
    for op, shape in names:
        for dtype in (torch.float32, torch.bfloat16):
            if (op, shape) == VIT:
                prepared = prepare_vit(device, dtype)
            else:
                if device == "cpu" and CASES[op, shape]()[2] > CPU_FLOPS:
                    continue
                prepared = prepare(CASES[op, shape], device, dtype)
            found.append(row(op, shape, prepared, device, dtype, options.seconds))
            finish(device)
    rows = [one for one in found if one]
    if options.json:
        versions = {"torch": torch.__version__, **({"cuda": torch.version.cuda} if device == "cuda" else {})}
        result = {
            "adapter": torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "CPU",
            "runtime": f"python {platform.python_version()}", "versions": versions,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(), "rows": rows,
        }
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    sys.exit(len(rows) < len(found))


if __name__ == "__main__":
    main()
