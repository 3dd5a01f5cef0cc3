"""A transformer of two layers that learns the characters of a text: exponents of its training, copies, the scalar embedding.

All of this was fixed before anything was looked at but the time of a step. The text has 21 characters (17 letters, space, comma, full stop,
end of line) and comes from a small grammar: determiner, at times an adjective, noun, verb, again a noun, at times "that" and another
clause. The network reads 16 characters and foretells the next at each place: words of 24 numbers, two layers with two heads, a hidden
layer of 48 with GELU, normalisation before each part; P = 11,205. It sees 16 stretches of text, 256 characters, all at each step, and is
tested on 16 others.

Rules: gradient descent at lr = m * 2 / s0 with m = 0.5 and 2, s0 being the first sharpness; Adam at 0.001 and 0.01. Five seeds of weights,
one text. Over steps 0 to 400 and 400 to 800, in 20 blocks each: three exponents per step, with standard errors; at 10 moments the
sharpness (with Adam the preconditioned one) over the rule's limit, each the mean of two consecutive steps. Two copies moved by up to 1e-8
in each weight, followed for 800 steps from step 0; every 20 steps their weights are laid out in two coordinates, with the reference.

- *chaotic* and *expanding*: as in edge_networks.py (above 0.01, above 0, by two standard errors), for the second half of the run;
- *sensitive*: the copies' mean distance at the end is over 1,000 times the first one; on the line, that of the first coordinate likewise;
- *left*: out of the range of float64; counts as none of these;
- growth of the copies *agrees* with the exponent if ln of the ratio of distances over 800 steps is within 0.002 a step of the mean first
  exponent; it is not asked where the distance has passed a thousandth of the weights' norm (L1).

Then varied: twice the length (1,600 steps, halves of 800), another text, for the first seeds as far as time goes.
Run so far: seeds 0 to 2, seed 3 for gradient descent, and twice the length for Adam at 0.01, seed 0.

transformer.py [seconds]     # data/findings/transformer_*; those that are there already are not made again; begins none after so long
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from edge_networks import named
from torch import nn

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
CONTEXT, WIDTH, HEADS, HIDDEN, STRETCHES = 16, 24, 2, 48, 16
NOUNS, VERBS = ("cat", "bird", "child", "dog", "tree"), ("sees", "likes", "hears", "finds")
ADJECTIVES, DETERMINERS = ("old", "small", "red"), ("the", "a", "this")


def sentence(rng: np.random.Generator, depth: int = 0) -> str:
    """One of the grammar's, without the full stop."""

    def noun() -> str:
        words = (
            [rng.choice(DETERMINERS)] + ([rng.choice(ADJECTIVES)] if rng.random() < 0.3 else []) + [rng.choice(NOUNS)]
        )
        return " ".join(words)

    clause = f"{noun()} {rng.choice(VERBS)} {noun()}"
    return (
        f"{clause}, that {sentence(rng, depth + 1).split(' ', 2)[2]}" if depth < 2 and rng.random() < 0.25 else clause
    )


def stretches(seed: int) -> tuple[torch.Tensor, ...]:
    """Characters (16, 16) and the ones that follow them, for training and for testing, and how many kinds there are."""
    rng = np.random.default_rng(seed)
    text = "".join(sentence(rng) + ".\n" for _ in range(400))
    letters = sorted(set("".join((*NOUNS, *VERBS, *ADJECTIVES, *DETERMINERS)) + "that ,.\n"))
    codes = np.array([letters.index(c) for c in text])
    length = CONTEXT + 1
    starts = rng.choice(len(codes) // length, 2 * STRETCHES, replace=False) * length
    rows = torch.from_numpy(codes[starts[:, None] + np.arange(length)])
    return (
        *(rows[part, a:b] for part in (slice(STRETCHES), slice(STRETCHES, None)) for a, b in ((0, -1), (1, None))),
        len(letters),
    )


class Layer(nn.Module):
    """Attention to what came before, then a hidden layer, each added to what went in."""

    def __init__(self):
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.ask, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.register_buffer("later", torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1))

    def forward(self, h):
        q, k, v = self.ask(self.before(h)).unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        scores = (q @ k.mT / (WIDTH // HEADS) ** 0.5).masked_fill(self.later, -torch.inf)
        h = h + self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(-2))
        return h + self.down(nn.functional.gelu(self.up(self.between(h))))


class Transformer(nn.Module):
    """Two layers on characters (n, 16): scores (n, kinds, 16) of the next one."""

    def __init__(self, kinds: int):
        super().__init__()
        self.words, self.places = nn.Embedding(kinds, WIDTH), nn.Parameter(0.1 * torch.randn(CONTEXT, WIDTH))
        self.layers, self.norm, self.head = (
            nn.Sequential(Layer(), Layer()),
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, kinds),
        )

    def forward(self, x):
        return self.head(self.norm(self.layers(self.words(x) + self.places))).mT


def training(rule: str, seed: int, text: int):
    """The training map of a rule, initial weights (1, P)."""
    x, y, x_test, y_test, kinds = stretches(text)
    torch.manual_seed(seed)
    module = Transformer(kinds)
    samples, size = (x, y, x_test, y_test), float(rule.split("_")[1])
    if rule.startswith("adam"):
        gd = tl.Adam(module, samples, lr=size)
    else:
        gd = tl.GradientDescent(module, samples, lr=1.0)
        s0 = float(tl.sharpness(gd, gd.flatten(module), method="lanczos", tolerance=1e-3)[0])
        gd = tl.GradientDescent(module, samples, lr=size * 2 / s0)
    return gd, gd.flatten(module)


def curvature(gd, w0: np.ndarray, at: np.ndarray, adam: bool) -> np.ndarray:
    """Sharpness over the rule's limit after ``at`` steps, each the mean of two consecutive ones; nan from where a run has left."""

    def moved(z: np.ndarray, n: int, start: int) -> np.ndarray:
        return tl.train(gd, z, n, record=("norm",), every=n, start=start, progress=False).final_state

    z, done, ratios = gd.state(w0), 0, np.full(len(at), np.nan)
    for i, t in enumerate(at):
        z, done = moved(z, int(t - done), done), int(t)
        if not np.isfinite(z).all():
            break
        pair = z, moved(z, 1, done)
        if np.isfinite(pair[1]).all():
            options = [{"preconditioned": True, "t": done + j} if adam else {} for j in (0, 1)]
            sharp = [
                tl.sharpness(gd, y, method="lanczos", tolerance=1e-2, iterations=40, **o)[0]
                for y, o in zip(pair, options, strict=True)
            ]
            ratios[i] = np.mean(sharp) / gd.rule.stability_limit(gd.lr)
    return ratios


def transformer(rule: str, seed: int, text: int, steps: int, k: int, moments: int, copies: int, every: int) -> dict:
    """Exponents of the halves, sharpness over the limit, copies and their coordinates for one run; nan from where it has left float64."""
    gd, w0 = training(rule, seed, text)
    half, state = steps // 2, gd.state(w0)
    # vectors begin in the weights, as copies do: Adam's memories are small, and a vector in them grows at once
    vectors = np.zeros((1, k, gd.n_state))
    vectors[..., : gd.n_parameters] = np.random.default_rng(seed).standard_normal((k, gd.n_parameters))
    exponents, errors, converged = np.full((2, k), np.nan), np.full((2, k), np.nan), np.zeros(2, dtype=bool)
    for i, start in enumerate((0, half)):
        if np.isfinite(state).all():
            spectrum = tl.lyapunov_spectrum(gd, state, half, k=k, vectors=vectors, start=start, progress=False)
            state, vectors = spectrum.final, spectrum.vectors
            if np.isfinite(state).all():
                exponents[i], errors[i], converged[i] = (
                    spectrum.exponents[0], spectrum.standard_error[0], spectrum.converged[0],
                )  # fmt: skip
    div = tl.diverge(gd, w0, radius=1e-8, copies=copies, steps=steps, every=every, record=("weights",), progress=False)
    laid = tl.embed_copies(np.ascontiguousarray(div.snapshots), k=2)
    at = np.round(np.linspace(1, steps - 1, moments)).astype(int)
    left = not np.isfinite(state).all()
    return {
        "lr": np.array(gd.lr), "parameters": np.array(gd.n_parameters), "left": np.array(left),
        "exponents": exponents, "errors": errors, "converged": converged,  # (half, vector)
        "distance": div.distance[0], "distance_times": div.times, "loss": div.loss[0],
        "norm": np.abs(div.snapshots[0, 0]).sum(axis=-1), "coordinates": laid.coordinates[0, 0],
        "separation": laid.separation[0], "explained": laid.explained_variance[0], "rms": laid.rms_distance[0],
        "moments": at, "ratio": curvature(gd, w0, at, rule.startswith("adam")),
        "accuracy": np.nan if left else gd.accuracy(gd.weights(state))[0],
        "test_loss": np.nan if left else gd.test_loss(gd.weights(state))[0],
    }  # fmt: skip


RULES = ("descent_0.5", "descent_2", "adam_0.001", "adam_0.01")
VARIED = {"longer": {"steps": 1600, "every": 40}, "text": {"text": 1}}


def main(seconds: float = np.inf) -> None:
    began, folder = time.monotonic(), ROOT / "data" / "findings"
    torch.set_num_threads(1)
    shared = {"text": 0, "steps": 800, "k": 3, "moments": 10, "copies": 2, "every": 20}
    cells = [(rule, seed, "", {}) for seed in range(5) for rule in RULES]
    cells += [(rule, seed, f"_{v}", o) for seed in range(2) for v, o in VARIED.items() for rule in RULES]
    for rule, seed, suffix, other in cells:
        if time.monotonic() - began < seconds:
            name = f"transformer{'_varied' if suffix else ''}_{rule.replace('.', '')}_{seed}{suffix}"
            findings.make(folder, named(transformer, name), {"rule": rule, "seed": seed} | shared | other)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
