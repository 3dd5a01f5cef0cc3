"""What can be wrong with a module and its loss, looked at once before anything is computed: each refusal says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["check_labels", "check_loss", "check_scalar", "check_twice", "explained", "to_train"]

IGNORED = -100
"""The label that torch's cross entropy leaves out."""


def to_train(module: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """The parameters that are to be trained, with their names.

    Raises
    ------
    TypeError, ValueError
        If there are none, or the module is one whose weights cannot be put in from outside.
    """
    kind = type(module).__name__
    if isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        raise TypeError(f"the module must be on one device, got a {kind}; give the module inside it, module.module")
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError("the module must be Python, got a scripted one; give the module that it was made of")
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Embedding | torch.nn.EmbeddingBag) and part.sparse:
            raise ValueError(f"gradients must be dense, and those of {name or kind!r} are sparse; give it sparse=False")
    given = list(module.named_parameters())
    if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for _, p in given):
        raise ValueError("the module has parameters without a shape yet; call it once on samples before")
    trained = [(name, p) for name, p in given if p.requires_grad]
    if not trained:
        why = "all of its parameters have requires_grad False" if given else "it has no parameters"
        raise ValueError(f"there is nothing to train in this {kind}: {why}")
    if not all(p.is_floating_point() for _, p in given):
        raise TypeError("parameters must be real floating-point numbers")
    return trained


def check_loss(loss: Any) -> None:
    """Raise where a loss of the user's own is no function."""
    if isinstance(loss, type):
        raise TypeError(
            f"loss must be a function loss(output, target), got the class {loss.__name__}; make one of it, as in {loss.__name__}()"
        )
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function loss(output, target), or None, got {type(loss).__name__}")


def check_labels(scores: torch.Tensor, y: torch.Tensor) -> None:
    """Raise where labels do not number the scores (m, classes, ...)."""
    low, high = int(y.min()), int(y.max())
    if high >= scores.shape[1] or (low < 0 and low != IGNORED):
        raise ValueError(
            f"labels must be 0 to {scores.shape[1] - 1}, for the module gives {scores.shape[1]} scores, got {low} to {high}; give the "
            "module one output a class, or a loss of your own, loss(output, target)"
        )


def check_scalar(loss: Any) -> None:
    """Raise where what a loss gave is no number of float64 that can be differentiated."""
    if not isinstance(loss, torch.Tensor) or loss.ndim:
        what = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
        raise ValueError(f"loss must give one number, a tensor without axes, got {what}; take its mean or its sum")
    if loss.dtype != torch.float64:
        raise TypeError(f"the loss must be float64, got {loss.dtype}: the module or the loss must not convert to it")
    if not loss.requires_grad:
        raise ValueError("the loss does not depend on the module's parameters: leave out .detach() and no_grad()")


def check_twice(first: torch.Tensor, second: torch.Tensor) -> None:
    """Raise where the same weights had two losses."""
    if not torch.allclose(first, second, rtol=1e-9, atol=1e-12, equal_nan=True):
        raise ValueError(
            f"the module must give the same for the same weights and samples, and its loss was {first.item()!r}, then {second.item()!r}: "
            "it counts its calls or draws numbers that are not torch's; draw them with torch, whose generator is put back for each step"
        )


@contextmanager
def explained(x: torch.Tensor, y: torch.Tensor) -> Iterator[None]:
    """Says, of an error that came from the module or its loss, what these were called with."""
    try:
        yield
    except Exception as error:
        error.add_note(
            f"this came from the module and its loss, on inputs of shape {tuple(x.shape)} ({x.dtype}) and targets of shape "
            f"{tuple(y.shape)} ({y.dtype}); they are called as loss(module(x), y), all in float64 but for integers"
        )
        raise
