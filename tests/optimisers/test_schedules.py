"""Schedules against torch.optim.lr_scheduler, and by hand."""

import numpy as np
import pytest

from trajlib import schedules

T = np.arange(120)


def by_torch(scheduler, steps=120, lr=0.3):
    """The rates that a scheduler of torch gives an optimiser, step by step."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, rates = scheduler(torch.optim.lr_scheduler, optimiser), []
    for t in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if t + 1 < steps:
            scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize(
    "schedule, scheduler, steps",
    [
        (schedules.step(0.3, 7, 0.5), lambda s, o: s.StepLR(o, 7, 0.5), 120),
        (schedules.exponential(0.3, 0.97), lambda s, o: s.ExponentialLR(o, 0.97), 120),
        (schedules.cosine(0.3, 119, 0.01), lambda s, o: s.CosineAnnealingLR(o, 119, 0.01), 120),
        (schedules.cosine(0.3, 50), lambda s, o: s.CosineAnnealingLR(o, 50), 51),
        (schedules.warm_up(0.3, 20, 0.03), lambda s, o: s.LinearLR(o, 0.1, 1.0, 20), 120),
        (schedules.one_cycle(0.3, 120), lambda s, o: s.OneCycleLR(o, 0.3, 120, cycle_momentum=False), 120),
        (
            schedules.one_cycle(0.3, 90, warm=0.1, start_factor=0.2, end_factor=0.01),
            lambda s, o: s.OneCycleLR(
                o, 0.3, 90, pct_start=0.1, div_factor=5, final_div_factor=100, cycle_momentum=False
            ),
            90,
        ),
        (schedules.constant(0.3), lambda s, o: s.ConstantLR(o, 1.0), 120),
    ],
    ids=lambda value: value.kind if isinstance(value, schedules.Schedule) else "",
)
def test_torch(schedule, scheduler, steps):
    np.testing.assert_allclose(schedule(T[:steps]), by_torch(scheduler, steps), rtol=0, atol=1e-15)


def test_after_the_end():
    assert schedules.cosine(0.3, 50, 0.01)([50, 51, 1000]).tolist() == [0.01] * 3
    assert schedules.one_cycle(0.3, 50)([49, 50, 1000]) == pytest.approx(0.3 / 25 * 1e-4, rel=1e-12)
    assert schedules.array([0.3, 0.2, 0.0])([0, 1, 2, 3, 1000]).tolist() == [0.3, 0.2, 0.0, 0.0, 0.0]


def test_warm_up_before_another_schedule():
    later = schedules.cosine(0.3, 40)
    rates = schedules.warm_up(later, 10)(T)
    np.testing.assert_allclose(rates[:10], 0.03 * T[:10], rtol=1e-14, atol=0)
    np.testing.assert_array_equal(rates[10:], later(T[:-10]))


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.step(0.3, 7, 0.5),
        schedules.exponential(0.3, 0.9),
        schedules.cosine(0.3, 50),
        schedules.warm_up(schedules.exponential(0.3, 0.9), 20),
        schedules.one_cycle(0.3, 60),
        schedules.array([0.1, 0.2]),
    ],
    ids=lambda schedule: schedule.kind,
)
def test_a_rate_depends_on_the_step_alone(schedule):
    rates = schedule(T)
    assert rates.dtype == np.float64
    assert [float(schedule(t)) for t in range(120)] == rates.tolist()
    np.testing.assert_array_equal(schedule(T[50:90]), rates[50:90])


def test_equal_calls_make_equal_schedules():
    assert schedules.cosine(0.3, 50) == schedules.cosine(0.3, 50) != schedules.cosine(0.3, 51)
    assert repr(schedules.step(0.3, 7)) == "Schedule(kind='step', arguments=(0.3, 7, 0.1))"


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: schedules.constant(0.0), ValueError, "lr must be a positive finite number, got 0.0"),
        (lambda: schedules.step(0.1, 0), ValueError, "every must be an integer >= 1, got 0"),
        (lambda: schedules.step(0.1, 5, -1.0), ValueError, "factor must be a positive finite number, got -1.0"),
        (lambda: schedules.exponential("fast", 0.9), TypeError, "lr must be a positive finite number, got 'fast'"),
        (lambda: schedules.cosine(0.1, 2.5), TypeError, "steps must be an integer >= 1, got 2.5"),
        (lambda: schedules.cosine(0.1, 5, -0.1), ValueError, "end must be a finite number >= 0, got -0.1"),
        (lambda: schedules.warm_up(0.1, 0), ValueError, "steps must be an integer >= 1, got 0"),
        (lambda: schedules.one_cycle(0.1, 1), ValueError, "steps must be an integer >= 2, got 1"),
        (lambda: schedules.one_cycle(-0.1, 10), ValueError, "lr must be a positive finite number, got -0.1"),
        (lambda: schedules.one_cycle("fast", 10), TypeError, "lr must be a positive finite number, got 'fast'"),
        (lambda: schedules.one_cycle(0.1, 10, warm=1.0), ValueError, "warm must be a share of the steps below 1"),
        (lambda: schedules.array([]), ValueError, "values must be a row of rates >= 0"),
        (lambda: schedules.array([0.1, -0.1]), ValueError, "values must be a row of rates >= 0"),
        (lambda: schedules.array([0.1, np.nan]), ValueError, "values must be finite"),
        (lambda: schedules.array("fast"), TypeError, "values must be a number or an array of numbers, got 'fast'"),
        (lambda: schedules.cosine(0.1, 5)(-1), ValueError, "t must be numbers of steps, integers >= 0, got"),
        (lambda: schedules.cosine(0.1, 5)(0.5), ValueError, "t must be numbers of steps, integers >= 0, got"),
        (lambda: schedules.exponential(0.1, 10.0)(1000), ValueError, "negative or not finite"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
