"""What a module learns from, read once into tensors: a Task, arrays or tensors, a Dataset or a DataLoader; and the usual losses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from ..tasks.small import Task

__all__ = ["Samples", "class_scores", "read", "usual_loss"]

ALLOWED = "a Task, a tuple (x, y) or (x, y, x_test, y_test) of tensors or arrays, or a torch Dataset or DataLoader"


class Samples(NamedTuple):
    """Tensors of the training and of the test part; those of the test part are None where there is none.

    Attributes
    ----------
    x, x_test : Tensor (samples, ...)
        Inputs: float64, or integers as they are.
    y, y_test : Tensor (samples, ...)
        Targets: labels (int64), or values (float64).
    """

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor | None = None
    y_test: torch.Tensor | None = None

    def part(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, y) of ``"train"`` or ``"test"``."""
        if split == "train":
            return self.x, self.y
        if self.x_test is None or self.y_test is None:
            raise ValueError("the task has no test part; give one, as in the tuple (x, y, x_test, y_test)")
        return self.x_test, self.y_test


def read(task: Any, device: torch.device, seed: int = 0) -> Samples:
    """The samples of a task on a device. What a Dataset draws at random is drawn once, from ``seed``.

    Raises
    ------
    TypeError, ValueError
        If it is none of what is allowed, is empty, not finite, or inputs and targets differ in number.
    """
    if isinstance(task, Task):
        given: tuple = (task.x, task.y) + ((task.x_test, task.y_test) if len(task.x_test) else ())
    elif isinstance(task, tuple | list):
        given = tuple(task)
    elif isinstance(task, torch.utils.data.Dataset | torch.utils.data.DataLoader):
        given = _gathered(task, seed)
    else:
        hint = "; of a data frame, give Task.from_frame(df, target=...)" if hasattr(task, "columns") else ""
        raise TypeError(f"task must be {ALLOWED}, got {type(task).__name__}{hint}")
    if len(given) not in (2, 4):
        raise ValueError(f"task must be {ALLOWED}, got {len(given)} parts")
    parts = [_tensor(name, value, device) for name, value in zip(Samples._fields, given, strict=False)]
    for i in range(0, len(parts), 2):
        x, y = parts[i : i + 2]
        names = Samples._fields[i : i + 2]
        if len(x) != len(y) or not len(x):
            raise ValueError(
                f"{names[0]} and {names[1]} must have as many samples, at least one, along their first axis, got shapes "
                f"{tuple(x.shape)} and {tuple(y.shape)}"
            )
    return Samples(*parts)


def _gathered(source: Any, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All samples of a Dataset, or of a DataLoader's Dataset, in the Dataset's own order."""
    data: Any = source
    options: dict[str, Any] = {"batch_size": 256}
    if isinstance(source, torch.utils.data.DataLoader):
        data = source.dataset
        options = {"batch_size": source.batch_size or 256, "collate_fn": source.collate_fn}
    xs, ys = [], []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed % 2**63)
        for batch in torch.utils.data.DataLoader(data, **options):
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                what = f"{len(batch)} things" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
                raise TypeError(f"a {type(source).__name__} must give pairs (x, y), got {what}; give a tuple (x, y)")
            xs.append(batch[0])
            ys.append(batch[1])
    if not xs:
        raise ValueError(f"the {type(source).__name__} holds no samples")
    return torch.cat(xs), torch.cat(ys)


def _tensor(name: str, value: Any, device: torch.device) -> torch.Tensor:
    """A copy of numbers as a tensor: floats become float64, targets that are integers int64."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.tensor(value)
    if not isinstance(value, torch.Tensor):
        hint = "; side by side in one, of a module with several inputs, which its forward takes apart"
        several = isinstance(value, tuple | list | dict)
        raise TypeError(
            f"{name} must be a tensor or an array of numbers, got {type(value).__name__}{hint if several else ''}"
        )
    if value.ndim == 0:
        raise ValueError(f"{name} must have an axis of samples, got one number; use {name}[None]")
    if value.is_complex():
        raise TypeError(f"{name} must be real numbers, got {value.dtype}")
    value = value.detach().clone()
    if value.is_floating_point():
        value = value.to(device, torch.float64)
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} must be finite, got nan or inf")
        return value
    return value.to(device, torch.int64 if name.startswith("y") else value.dtype)


def class_scores(out: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (m, classes, ...) and labels (m, ...) as torch.nn.functional.cross_entropy takes them: classes are on axis 1, or else last."""
    if out.ndim > 1 and out.shape[:1] + out.shape[2:] == y.shape:
        return out, y
    if out.ndim > 1 and out.shape[:-1].numel() == y.numel():
        return out.reshape(-1, out.shape[-1]), y.reshape(-1)
    raise ValueError(
        f"outputs of shape {tuple(out.shape)} do not fit labels of shape {tuple(y.shape)}: there must be one output a class, on axis 1 or "
        "on the last; or give a loss of your own, loss(output, target)"
    )


def usual_loss(out: Any, y: torch.Tensor) -> torch.Tensor:
    """Cross entropy of labels, mean squared error of values; means over all there are."""
    if not isinstance(out, torch.Tensor):
        raise TypeError(
            f"the module gives {type(out).__name__}, not a tensor; give a loss of your own, loss(output, target)"
        )
    if not y.is_floating_point():
        return functional.cross_entropy(*class_scores(out, y))
    if out.numel() != y.numel():
        raise ValueError(
            f"outputs of shape {tuple(out.shape)} do not fit targets of shape {tuple(y.shape)}, which are floats and so values to regress "
            "on; labels are integers"
        )
    return (out.reshape(y.shape) - y).square().mean()  # mse_loss warns of itself when differentiated forwards
