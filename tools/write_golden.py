"""Write data/golden.json. To be run only when the operation order of the engine changes on purpose: every digest then changes."""

import json
from pathlib import Path

import trajlib as tl
from trajlib.companion import golden

IRIS = {
    "task": "iris",
    "split_seed": 0,
    "sizes": [4, 10, 3],
    "activation": "sigmoid",
    "loss": "cross_entropy",
}
SHORT = IRIS | {"weight_decay": 0.0, "networks": 20, "steps": 500}
RUNS = {
    "iris, lr = 0.01, 5,000 steps": IRIS | {"lr": 0.01, "weight_decay": 0.0, "networks": 20, "steps": 5000},
    "iris, lr = 1, 5,000 steps": IRIS | {"lr": 1.0, "weight_decay": 0.0, "networks": 20, "steps": 5000},
    "iris, lr = 5, 10,000 steps": IRIS | {"lr": 5.0, "weight_decay": 0.0, "networks": 20, "steps": 10000},
    "iris, tanh, lr = 1, weight decay, 2,000 steps": IRIS
    | {"activation": "tanh", "lr": 1.0, "weight_decay": 1e-4, "networks": 20, "steps": 2000},
    "softmax map, kappa = 10, 10,000 steps": {
        "task": "iris",
        "split_seed": 1,
        "kappa": 10.0,
        "networks": 20,
        "steps": 10000,
    },
    "iris, two hidden layers, tanh, lr = 1, 500 steps": SHORT
    | {"sizes": [4, 6, 5, 3], "activation": "tanh", "lr": 1.0},
    "iris, heavy ball, lr = 1, 500 steps": SHORT | {"lr": 1.0, "options": {"momentum": 0.9}},
    "iris, Adam, lr = 0.1, 500 steps": SHORT | {"lr": 0.1, "optimiser": "Adam"},
    "iris, minibatches of 16, lr = 1, 500 steps": SHORT | {"lr": 1.0, "options": {"batch_size": 16, "batch_seed": 0}},
}

entries = []
for name, run in RUNS.items():
    run = run | {"init_seed": 0}
    gd, w0 = golden.initial(run)
    final = tl.train(gd, w0, run["steps"], record=(), engine="cpu").final_state
    entries.append({"name": name, "run": run, "initial": golden.digest(w0), "final": golden.digest(final)})
Path(__file__).parents[1].joinpath("data", "golden.json").write_text(
    json.dumps(entries, indent=1) + "\n", encoding="utf-8"
)
