"""One step of six MNIST networks: trajlib against its matrix products alone, and against what one would otherwise write.

Six networks 784-64-10 (tanh, cross entropy) are a reference and its five copies in chapter 4. The matrix products of a step, each
alone and in the layout that is fastest on this machine, are the time that no implementation with dense products can beat.
Everything is float64 and checked for agreement before it is timed. Run as a script, this writes data/benchmarks/mnist_step.json;
it takes five minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _timing import interleaved, spread, write
from torch import nn

import trajlib as tl
from trajlib.engines.sparse.run import SparseRun
from trajlib.engines.torch.run import TorchRun
from trajlib.tasks.mnist import FILES, cache_folder, mnist

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "mnist_step.json"
NETWORKS, HIDDEN, OUTPUTS, LR, ROUNDS, TOLERANCE = 6, 64, 10, 0.1, 7, 1e-9
SAMPLES = {10_000: 3, 60_000: 1}
"""Samples, and steps of one timed call."""
TARGET = 0.8
"""Share of a step's time that its matrix products are meant to take."""


def data(n: int) -> tl.Task:
    """MNIST's first n images where it is in the cache, else pictures with as many empty columns and zeros."""
    if all((cache_folder() / f"{file.name}.gz").is_file() for file in FILES):
        return mnist(n)
    rng = np.random.Generator(np.random.PCG64(0))
    share = np.clip(rng.normal(0.21, 0.2, 784), 0.0, 0.9)  # of the images in which a pixel is not 0
    share[rng.permutation(784)[:67]] = 0.0
    x = np.where(rng.random((n, 784)) < share, rng.random((n, 784)), 0.0)
    return tl.Task("pictures", x=x, y=rng.integers(0, OUTPUTS, n))


def setting(n: int):
    """The map, and a reference with five copies as six networks."""
    gd = tl.GradientDescent(tl.Perceptron(784, HIDDEN, OUTPUTS, activation="tanh"), data(n), lr=LR)
    w0 = gd.network.init(1, seed=0)
    return gd, np.concatenate([w0, tl.perturb(gd, w0, radius=1e-8, copies=NETWORKS - 1, seed=0)[0]])


# Each of these prepares what can be kept from step to step, and returns step() -> losses and weights() -> (networks, p)


def trajlib_torch(gd, w0):
    """The torch engine as train() drives it."""
    return driven(TorchRun(gd.problem, w0, None, steps=1 << 20, every=1, record=frozenset({"loss"})))


def trajlib_sparse(gd, w0):
    """The engine that train() takes for images, on as many threads."""
    return driven(
        SparseRun(
            gd.problem, w0, None, steps=1 << 20, every=1, record=frozenset({"loss"}), threads=torch.get_num_threads()
        )
    )


def driven(run):
    """Steps of a run."""
    run.prepare()
    done = 0

    def step():
        nonlocal done
        run.advance(done, done + 1, False)
        done += 1
        return run.results()["loss"][:, done - 1]

    return step, lambda: run.results()["reference"]


def pytorch_loop(gd, w0):
    """The usual training loop: a module, a criterion, an optimiser; one network after the other."""
    x, y, criterion = torch.tensor(gd.task.x), torch.tensor(gd.task.y), nn.CrossEntropyLoss()
    models = [nn.Sequential(nn.Linear(784, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, OUTPUTS)).double() for _ in w0]
    for model, start in zip(models, w0, strict=True):
        W1, b1, W2, b2 = map(torch.tensor, gd.network.unpack(start))
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), (W1.T, b1, W2.T, b2), strict=True):
                parameter.copy_(value)
    optimizers = [torch.optim.SGD(model.parameters(), lr=gd.lr) for model in models]

    def step():
        losses = []
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return np.array(losses)

    def weights():
        return np.stack([gd.network.pack(*(p.detach().numpy().T for p in model.parameters())) for model in models])

    return step, weights


def pytorch_vmap(gd, w0):
    """torch.func: vmap over the networks of the gradient and value of one."""
    x, y = torch.tensor(gd.task.x), torch.tensor(gd.task.y)
    parameters = [torch.tensor(np.ascontiguousarray(a)) for a in gd.network.unpack(w0)]

    def loss(W1, b1, W2, b2):
        return nn.functional.cross_entropy(torch.tanh(x @ W1 + b1) @ W2 + b2, y)

    gradient = torch.func.vmap(torch.func.grad_and_value(loss, argnums=(0, 1, 2, 3)))

    def step():
        gradients, losses = gradient(*parameters)
        for parameter, value in zip(parameters, gradients, strict=True):
            parameter.sub_(value, alpha=gd.lr)
        return losses.numpy()

    return step, lambda: gd.network.pack(*(p.numpy() for p in parameters))


IMPLEMENTATIONS = {
    "trajlib": ("trajlib, torch engine", trajlib_torch),
    "trajlib_sparse": ("trajlib, sparse engine", trajlib_sparse),
    "pytorch_loop": ("PyTorch, the usual loop", pytorch_loop),
    "pytorch_vmap": ("PyTorch, vmap(grad)", pytorch_vmap),
}


def products(x: np.ndarray) -> dict[str, dict[str, Callable]]:
    """The matrix products of a step, each in several layouts: rows are samples (s), units of all networks (u) or inputs (i)."""
    n, units = len(x), NETWORKS * HIDDEN
    s_i = torch.tensor(np.ascontiguousarray(x))
    i_s = s_i.T.contiguous()
    s_u, u_s = torch.rand(n, units).double(), torch.rand(units, n).double()
    i_u, u_i = torch.rand(x.shape[1], units).double(), torch.rand(units, x.shape[1]).double()
    hidden, outputs = u_s.view(NETWORKS, HIDDEN, n), torch.rand(NETWORKS, OUTPUTS, n).double()
    W2 = torch.rand(NETWORKS, HIDDEN, OUTPUTS).double()
    W2_t = W2.mT.contiguous()
    mm, bmm = torch.mm, torch.bmm
    return {
        "forward": {
            "s_u": partial(mm, s_i, i_u, out=s_u),
            "s_u, inputs transposed": partial(mm, i_s.T, i_u, out=s_u),
            "u_s": partial(mm, u_i, s_i.T, out=u_s),
            "u_s, inputs transposed": partial(mm, u_i, i_s, out=u_s),
        },
        "backward": {
            "i_u": partial(mm, s_i.T, s_u, out=i_u),
            "i_u, inputs transposed": partial(mm, i_s, s_u, out=i_u),
            "u_i": partial(mm, u_s, s_i, out=u_i),
            "u_i, inputs transposed": partial(mm, u_s, i_s.T, out=u_i),
        },
        "outputs": {
            "o_s": partial(bmm, W2_t, hidden, out=outputs),
            "o_s, W2 as it is": partial(bmm, W2.mT, hidden, out=outputs),
        },
        "backward to the units": {"u_s": partial(bmm, W2, outputs, out=hidden)},
        "gradient of W2": {
            "o_u": partial(bmm, outputs, hidden.mT, out=W2_t),
            "u_o": partial(bmm, hidden, outputs.mT, out=W2),
        },
    }


def repeated(call: Callable, times: int) -> Callable:
    """The call, some times over."""

    def calls():
        for _ in range(times):
            call()

    return calls


def disagreement(gd, w0, steps: int = 3) -> dict[str, float]:
    """Largest difference of any loss or weight from trajlib's after a few steps."""
    found = {}
    for name, (_, prepare) in IMPLEMENTATIONS.items():
        step, weights = prepare(gd, w0)
        found[name] = np.stack([step() for _ in range(steps)]), weights()
    return {
        name: max(float(np.abs(a - b).max()) for a, b in zip(value, found["trajlib"], strict=True))
        for name, value in found.items()
    }


def measure(n: int, steps: int, rounds: int = ROUNDS) -> dict:
    """What the result file holds of one number of samples."""
    gd, w0 = setting(n)
    differences = disagreement(gd, w0)
    if not max(differences.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {differences}")
    filled = (gd.task.x != 0).any(axis=0)
    layouts = {"all": products(gd.task.x), "filled": products(gd.task.x[:, filled])}
    calls = {
        (inputs, product, layout): repeated(call, steps)
        for inputs, each in layouts.items()
        for product, group in each.items()
        for layout, call in group.items()
    }
    calls |= {name: repeated(prepare(gd, w0)[0], steps) for name, (_, prepare) in IMPLEMENTATIONS.items()}
    timed = interleaved(calls, rounds)
    seconds = {name: timed[name][:, 0] / steps for name in IMPLEMENTATIONS}

    def alone(inputs):
        each, width = layouts[inputs], 784 if inputs == "all" else int(filled.sum())
        best = {p: min(group, key=lambda name: np.median(timed[inputs, p, name][:, 0])) for p, group in each.items()}
        taken = {p: timed[inputs, p, layout][:, 0] / steps for p, layout in best.items()}
        operations = 4 * n * width * NETWORKS * HIDDEN
        return {
            "inputs": width,
            "layouts": best,
            "ms": spread(1e3 * sum(taken.values())),
            "gflop_per_s": spread(operations / (taken["forward"] + taken["backward"]) / 1e9),
            "share_of_step": spread(sum(taken.values()) / seconds["trajlib"]),
        }

    return {
        "samples": n,
        "data": gd.task.name,
        "agreement": {"steps": 3, "tolerance": TOLERANCE, "largest_difference": differences},
        "products": {inputs: alone(inputs) for inputs in layouts},
        "target": TARGET,
        "implementations": {
            name: {
                "label": label,
                "ms_per_step": spread(1e3 * seconds[name]),
                "times_trajlib": spread(seconds[name] / seconds["trajlib"]),
                "cores_busy": round(float(np.median(timed[name][:, 1])), 2),
                "rounds_ms": [float(f"{1e3 * value:.4g}") for value in seconds[name]],
            }
            for name, (label, _) in IMPLEMENTATIONS.items()
        },
    }


def show(results: dict) -> None:
    """A table for the terminal: medians, quartiles in brackets."""

    def text(cell):
        return f"{cell['median']:.4g} ({cell['quartiles'][0]:.4g}-{cell['quartiles'][1]:.4g})"

    for block in results.values():
        print(f"{block['samples']} samples of {block['data']}; products alone, target {block['target']} of a step:")
        for p in block["products"].values():
            print(
                f"  {p['inputs']} inputs {text(p['ms']):>31} ms, {text(p['gflop_per_s'])} GFLOP/s, share {text(p['share_of_step'])}"
            )
        for row in block["implementations"].values():
            print(
                f"  {row['label']:26}{text(row['ms_per_step']):>28} ms{text(row['times_trajlib']):>26} x{row['cores_busy']:6}"
            )


def main() -> None:
    began = time.perf_counter()
    results = {str(n): measure(n, steps) for n, steps in SAMPLES.items()}
    show(results)
    setting = (
        f"6 networks 784-64-10, tanh, cross entropy, full batch, float64, PyTorch on {torch.get_num_threads()} threads; one step "
        "with the losses. Products: dense, of all 784 inputs and of those that are not 0 in all samples, which are what trajlib uses"
    )
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
