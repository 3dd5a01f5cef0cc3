"""What a network of one's own costs: a step, tangent vectors, sharpness, in time and memory, for a few modules and the fused engine.

Each network runs in a process of its own, so that the peak of memory is its own. The perceptron is there twice, for the fused engine and
as a module; before anything is timed their losses are compared. All learn handwritten digits on minibatches.
"""

import itertools
import sys
import time
from pathlib import Path

import numpy as np
import torch
from _timing import in_new_process, interleaved, spread, write
from torch import nn

import trajlib as tl
from trajlib.dynamics.module import as_module

OUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "own_network.json"
BATCH, ROUNDS, VECTORS, NETWORKS = 256, 3, 10, 16
SECONDS = 0.3  # of one timed call, about
TOLERANCE = 1e-9


class Convolution(nn.Sequential):
    """One convolution of the pictures, 8 x 8."""

    def __init__(self):
        picture = nn.Unflatten(1, (1, 8, 8))
        super().__init__(picture, nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10))


class Transformer(nn.Module):
    """The rows of a picture as eight words: one layer of attention."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Linear(8, 32), nn.Parameter(0.1 * torch.randn(8, 32))
        self.layer, self.head = nn.TransformerEncoderLayer(32, 4, 64, 0.0, "gelu", batch_first=True), nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.layer(self.words(x.unflatten(1, (8, 8))) + self.places).mean(dim=1))


SMALL = tl.Perceptron(64, (32, 32), 10, activation="tanh")
NETWORKS_OF = {
    "fused": ("perceptron 64-32-32-10, fused engine", lambda: SMALL),
    "module": ("the same as a module", lambda: as_module(SMALL)),
    "convolution": ("convolution, max-pool", Convolution),
    "transformer": ("transformer layer, 8 words", Transformer),
    "wide": ("perceptron 64-300-256-10", lambda: _wide(300, 256)),
}


def _wide(*widths: int) -> nn.Module:
    sizes = (64, *widths, 10)
    layers = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def setting(name: str, networks: int) -> tuple[tl.GradientDescent, np.ndarray]:
    """Gradient descent with momentum on minibatches, and initial conditions."""
    torch.manual_seed(0)
    gd = tl.GradientDescent(NETWORKS_OF[name][1](), tl.digits(), lr=0.05, momentum=0.9, batch_size=BATCH)
    if name in ("fused", "module"):
        return gd, SMALL.init(networks, seed=0, scheme="glorot")
    return gd, gd.flatten([NETWORKS_OF[name][1]() for _ in range(networks)])


def calls(gd: tl.GradientDescent, w: np.ndarray) -> dict:
    """What is timed, each a function of a number of steps."""
    quiet = {"record": ("norm",), "progress": False}
    return {
        "step": lambda steps: tl.train(gd, w[:1], steps, **quiet),
        "ensemble": lambda steps: tl.train(gd, w, steps, **quiet),
        "one_vector": lambda steps: tl.lyapunov_spectrum(gd, w[:1], 4 * steps, k=1, blocks=4, progress=False),
        "exponents": lambda steps: tl.lyapunov_spectrum(gd, w[:1], 4 * steps, k=VECTORS, blocks=4, progress=False),
        "sharpness": lambda times: [tl.sharpness(gd, w[:1]) for _ in range(times)],
    }


def measure(name: str, seconds: float = SECONDS, rounds: int = ROUNDS) -> dict:
    """Seconds of each call per step (of sharpness, per state), and the memory that each took at its peak."""
    gd, w = setting(name, NETWORKS)
    steps, memory = {}, {}
    for what, call in calls(gd, w).items():
        call(1)  # what is compiled or set up once
        began = time.perf_counter()
        memory[what] = _peak(lambda call=call: call(1))
        steps[what] = max(1, round(seconds / (time.perf_counter() - began)))
    taken = interleaved({what: lambda call=call, n=steps[what]: call(n) for what, call in calls(gd, w).items()}, rounds)
    done = {what: n * (4 if what in ("one_vector", "exponents") else 1) for what, n in steps.items()}
    return {
        "label": NETWORKS_OF[name][0],
        "parameters": gd.n_parameters,
        "samples": BATCH,
        "engine": tl.train(gd, w[:1], 1, progress=False).engine,
        "together": bool(name == "fused" or gd.learner.vectorised),
        "seconds": {what: spread(times[:, 0] / done[what]) for what, times in taken.items()},
        "times_step": {
            what: spread(taken[what][:, 0] / done[what] / (taken["step"][:, 0] / done["step"])) for what in taken
        },
        "peak_mib": memory,
    }


def _peak(call) -> float | None:
    """MiB by which the process grew at most during a call; None where the system does not tell."""
    forget = Path("/proc/self/clear_refs")
    try:
        forget.write_text("5")
    except OSError:
        return None
    before = _status("VmRSS")
    call()
    return round((_status("VmHWM") - before) / 1024, 1)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


def disagreement() -> float:
    """Largest difference of the losses of the perceptron in the fused engine and as a module, over 20 steps."""
    losses = []
    for name in ("fused", "module"):
        gd, w = setting(name, 2)
        losses.append(tl.train(gd, w, 20, progress=False).loss)
    return float(np.abs(losses[0] - losses[1]).max())


def main() -> None:
    began = time.perf_counter()
    off = disagreement()
    if off > TOLERANCE:
        sys.exit(f"the fused engine and the module differ by {off:.1e}")
    code = f"import sys, json; sys.path.insert(0, {str(Path(__file__).parent)!r}); import own_network; "
    found = {}
    for name in NETWORKS_OF:
        found[name] = in_new_process(code + f"print(json.dumps(own_network.measure({name!r})))")
        print(found[name], flush=True)
    results = {"networks": found, "agreement": {"largest_difference": float(f"{off:.1e}"), "tolerance": TOLERANCE}}
    results |= {"vectors": VECTORS, "ensemble": NETWORKS}
    setting_text = f"digits, {BATCH} samples a step, momentum; sharpness on all training samples"
    write(OUT, results, setting=setting_text, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
