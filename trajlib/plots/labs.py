"""The figures that chapters draw more than once, and that the labs draw anew."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .panels import divergence_panel, label_panels
from .styling import COLOURS, INK, PALE

if TYPE_CHECKING:
    from ..ensembles import Divergence, Trajectories
    from ..meanfield import DiagonalFlow, MeanField
    from ..reduction import MapComparison
    from ..series.expansion import ExpansionFit
    from ..stability.finite_time import FiniteTimeExponents

__all__ = [
    "distances",
    "embedded_copies",
    "final_losses",
    "fitted_distances",
    "losses_and_norms",
    "network_and_map",
    "outcome_exponents",
    "theory_and_networks",
]


def distances(
    div: Divergence, conditions: Sequence[int] = range(6), *, yscale: str = "linear", columns: int = 3
) -> Figure:
    """Distances of the copies and the loss, a panel for each initial condition.

    Parameters
    ----------
    div : Divergence
        Of any number of initial conditions, with a radius.
    conditions : sequence of int
        Which of them.
    yscale : str
        Of the distances, which are in units of the radius.
    columns : int
        Panels side by side, at most.

    Returns
    -------
    Figure
    """
    columns = min(columns, len(conditions))
    rows = -(-len(conditions) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(0.5 + 2.9 * columns, 2.5 * rows), sharex=True, squeeze=False)
    for ax in axes.flat[len(conditions) :]:
        ax.set_axis_off()
    for k, (ax, i) in enumerate(zip(axes.flat, conditions, strict=False)):
        right = divergence_panel(ax, div.times, div.distance[i] / div.radius, None if div.loss is None else div.loss[i])
        ax.set(title=f"condition {i}", yscale=yscale)
        if right is not None and (k % columns == columns - 1 or i == conditions[-1]):
            right.set_ylabel("loss", color=COLOURS["vermilion"])
    fig.supxlabel("step")
    fig.supylabel(r"distance $d(t)\ /\ \varepsilon$")
    label_panels(axes.flat[: len(conditions)])
    return fig


def fitted_distances(div: Divergence, fit: ExpansionFit, conditions: Sequence[int] = range(4)) -> Figure:
    """Distances with the fitted exponential, early and late, and the loss: two rows for each initial condition.

    Parameters
    ----------
    div : Divergence
        Recorded at every step, 200 at least.
    fit : ExpansionFit
        Of ``div.distance`` in the first 200 steps.
    conditions : sequence of int
        Which initial conditions.

    Returns
    -------
    Figure
    """
    fig, axes = plt.subplots(2 * len(conditions), 2, figsize=(6.2, 0.4 + 2.6 * len(conditions)), squeeze=False)
    for n, i in enumerate(conditions):
        row, found = axes[2 * n : 2 * n + 2].ravel(), ""
        divergence_panel(row[0], div.times, div.distance[i])
        divergence_panel(row[1], div.times[:201], div.distance[i, :, :201])
        if np.isfinite(fit.rate[i]):
            t = np.arange(fit.start[i], fit.stop[i])
            found = f": $\\Lambda$ = {fit.rate[i]:.2f}{'' if fit.kept[i] else ', discarded'}"
            line = np.exp(fit.intercept[i] + fit.rate[i] * t)
            row[1].plot(t, line, color=COLOURS["vermilion"], lw=2.5, ls="-")
        if (div.distance[i, :, :201] > 0).any():
            row[1].set_yscale("log")
        row[2].plot(div.times[-50:], div.distance[i, :, -50:].mean(axis=0), color=INK, marker=".", ls="-", lw=0.8, ms=3)
        row[2].ticklabel_format(useOffset=False)
        if div.loss is not None:
            row[3].plot(div.times, div.loss[i], color=COLOURS["blue"], lw=0.8)
            row[3].set_yscale("log")
        titles = (f"condition {i}: distance", f"first 200 steps{found}", "last 50 steps", "loss")
        for ax, title in zip(row, titles, strict=True):
            ax.set_title(title)
    fig.supxlabel("step")
    return fig


def losses_and_norms(
    run: Trajectories, conditions: Sequence[int] | np.ndarray, on: Sequence[int] | np.ndarray
) -> Figure:
    """Loss and norm of the weights over time, a row for each network.

    Parameters
    ----------
    run : Trajectories
        With records of loss and norm.
    conditions, on : sequences of int
        Which networks, and how many of their units are on at the end.

    Returns
    -------
    Figure
    """
    assert run.loss is not None and run.norm is not None
    n = len(conditions)
    fig, axes = plt.subplots(n, 2, figsize=(6.4, 0.6 + 1.7 * n), sharex=True, squeeze=False)
    for (left, right), i, r in zip(axes, conditions, on, strict=True):
        left.plot(run.times, run.loss[i], ".", ms=1.2, mew=0, alpha=0.4, color=COLOURS["blue"], rasterized=True)
        right.plot(run.times, run.norm[i], color=INK, lw=0.5, ls="-", rasterized=True)
        left.set_title(f"condition {i}, {r} on")
        left.set_ylabel("loss")
        right.set_ylabel("L1 norm")
        right.yaxis.set_label_position("right")
    fig.supxlabel("step")
    label_panels(axes[:, 0])
    return fig


def network_and_map(compared: MapComparison, kappa: Sequence[float] | np.ndarray, start: int) -> Figure:
    """Losses of networks and of the reduced maps that start from their logits, a panel for each network, two in a row.

    Parameters
    ----------
    compared : MapComparison
        The networks to show, and no others.
    kappa : sequence of float
        Effective learning rates.
    start : int
        Step from which they were compared.

    Returns
    -------
    Figure
    """
    n = len(kappa)
    times = start + np.arange(compared.network.shape[1])
    columns, rows = min(2, n), -(-n // 2)
    fig, axes = plt.subplots(rows, columns, figsize=(0.6 + 3.0 * columns, 0.5 + 2.2 * rows), sharex=True, squeeze=False)
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    for ax, network, reduced, k in zip(axes.flat, compared.network, compared.reduced, kappa, strict=False):
        ax.plot(times, network, "o", ms=6, mfc="none", color=COLOURS["vermilion"], label="network")
        ax.plot(times, reduced, ".-", ms=4, lw=0.6, color=INK, label="map")
        ax.set(title=f"κ = {k:.3g}")
        ax.ticklabel_format(useOffset=False)
        low, high = ax.get_ylim()
        if high - low < 0.1:  # a fixed point, not the digits of its rounding
            ax.set_ylim(0.5 * (low + high) - 0.1, 0.5 * (low + high) + 0.1)
    axes[0, 0].legend(loc="upper right")
    fig.supylabel("loss")
    fig.supxlabel("step")
    label_panels(axes.flat[:n])
    return fig


def embedded_copies(times: np.ndarray, columns: Iterable[tuple[str, np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """A reference and its m copies on a line, and how far they are apart there.

    Parameters
    ----------
    times : ndarray (r,)
        Steps.
    columns : iterable of (title, z, separation, bound)
        For each initial condition, a row of its own: the coordinates (1 + m, r), the separations of the copies on the line (m, r) and their
        distances in all dimensions (m, r), as :func:`~trajlib.embedding.scaling.embed_copies` gives them.

    Returns
    -------
    Figure
    """
    rows = list(columns)
    fig, axes = plt.subplots(len(rows), 2, figsize=(6.8, 0.6 + 2.2 * len(rows)), squeeze=False)
    for (left, right), (title, z, separation, bound) in zip(axes, rows, strict=True):
        left.plot(times, z[1:].T, color=PALE, ls="-", lw=1)
        left.plot(times, z[0], color=INK, ls="-")
        left.set_title(title)
        divergence_panel(right, times, np.abs(separation))
        right.plot(times, bound.mean(axis=0), color=COLOURS["vermilion"], ls="--")
        right.set(yscale="log", ylim=(1e-13, 10))
        left.set_ylabel("z")
        right.set_ylabel("separation")
    fig.supxlabel("step")
    label_panels(axes[:, 0])
    return fig


def final_losses(
    losses: Mapping[str, np.ndarray], thresholds: Sequence[float] = (4, 100), *, columns: int | None = None
) -> Figure:
    """Histograms of final losses.

    Parameters
    ----------
    losses : mapping of str to ndarray (n,)
        A panel each. Losses beyond the axis are put at its ends.
    thresholds : sequence of float
        Dashed.
    columns : int, optional
        Panels side by side; all by default.

    Returns
    -------
    Figure
    """
    high = 1e3
    least = min(float(np.nanmin(np.append(loss, high))) for loss in losses.values())
    low = 10.0 ** np.floor(np.log10(max(least, 1e-2)))
    columns = len(losses) if columns is None else columns
    rows = -(-len(losses) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(min(2.5 * columns, 10), 0.4 + 2.4 * rows), sharex=True, squeeze=False
    )
    for ax, (name, loss) in zip(axes.flat, losses.items(), strict=False):
        ax.hist(np.clip(loss, low, high), bins=np.geomspace(low, high, 51), color=COLOURS["blue"])
        for threshold in thresholds:
            ax.axvline(threshold, color=INK, ls="--", lw=1)
        ax.set(xscale="log", title=name)
    fig.supylabel("networks")
    fig.supxlabel("final loss")
    return fig


def outcome_exponents(
    runs: Mapping[str, tuple[FiniteTimeExponents | np.ndarray, np.ndarray]], lr: float, moments: Mapping[str, int]
) -> Figure:
    """Finite-time exponents of runs that end with a low loss and with a high one: medians and 10 to 90 % quantiles.

    Parameters
    ----------
    runs : mapping of str to (FiniteTimeExponents or ndarray (n, r, p), ndarray (n,))
        A column each: exponents from singular values, per step, and outcomes (0 low, 2 high) of
        :func:`~trajlib.prediction.predict.outcomes`.
    lr : float
        Learning rate: exponents are shown per unit of t = lr * step.
    moments : mapping of str to int
        A row each: which of the recorded times.

    Returns
    -------
    Figure
    """
    shape = len(moments), len(runs)
    fig, axes = plt.subplots(*shape, figsize=(2.5 * shape[1], 2.5 * shape[0]), sharex=True, sharey="row", squeeze=False)
    for column, (name, (ftle, outcome)) in zip(axes.T, runs.items(), strict=True):
        exponents = ftle if isinstance(ftle, np.ndarray) else ftle.singular_exponents
        assert exponents is not None
        for ax, i in zip(column, moments.values(), strict=True):
            for kind, colour, marker, shift in ((0, "blue", "o", -0.12), (2, "vermilion", "s", 0.12)):
                values = exponents[outcome == kind][:, i] / lr
                numbers = np.arange(1, values.shape[-1] + 1)
                if len(values):
                    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9), axis=0)
                    bars = (middle - low, high - middle)
                    ending = ("low", "", "high")[kind]
                    ax.errorbar(
                        numbers + shift, middle, bars, fmt=marker, ms=4, lw=1, color=COLOURS[colour], label=ending
                    )
            ax.axhline(0, color=INK, lw=0.8)
            ax.set(yscale="symlog", xticks=numbers)
        column[0].set_title(name)
    for ax, moment in zip(axes[:, 0], moments, strict=True):
        ax.set_ylabel(f"exponent, {moment}")
    labelled = next((ax for ax in axes[0] if len(ax.get_legend_handles_labels()[1]) == 2), axes[0, 0])
    labelled.legend(title="final loss")
    fig.supxlabel("number of the exponent")
    return fig


def theory_and_networks(pairs: Mapping[str, tuple[MeanField, DiagonalFlow]], smallest: float = 1e-6) -> Figure:
    """Excess risk and training error over time: the theory as lines, the mean of networks as circles with standard errors.

    Parameters
    ----------
    pairs : mapping of str to (MeanField, DiagonalFlow)
        At the same times; the names are those of the legend.
    smallest : float
        Where the axis of the training error ends.

    Returns
    -------
    Figure
    """
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 6.6), sharex=True)
    looks = itertools.cycle((("blue", "-"), ("green", "--"), ("orange", "-."), ("vermilion", ":")))
    for (name, (theory, networks)), (colour, line) in zip(pairs.items(), looks, strict=False):
        for ax, what in ((top, "excess_risk"), (bottom, "training_error")):
            curve = getattr(theory, what)
            ax.plot(theory.times[1:], curve[1:], line, color=COLOURS[colour])
            mean, error = getattr(networks, what)[1::5], getattr(networks, f"{what}_error")[1::5]
            ax.errorbar(
                networks.times[1::5], mean, error, fmt="o", ms=4, mfc="none", color=COLOURS[colour], lw=1, ls="none"
            )
            if ax is top:
                ax.annotate(name, (theory.times[-1], curve[-1]), xytext=(6, 0), textcoords="offset points", va="center")
    top.set(xscale="log", ylim=(0, None), ylabel="excess risk", title="excess risk")
    bottom.set(yscale="log", xlabel="t", ylabel="training error", title="training error")
    bottom.set_ylim(smallest, 2)
    label_panels((top, bottom))
    return fig
