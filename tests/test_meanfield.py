"""Mean-field theory of diagonal linear networks: against direct simulation, closed forms, scikit-learn and exact identities."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.meanfield import (
    DiagonalNetwork,
    NotConverged,
    Setting,
    basis_pursuit,
    diagonal_flow,
    dmft,
    gradient_flow,
    long_time,
    minimum_norm,
    spectrum_edge,
)
from trajlib.meanfield.model import draw
from trajlib.meanfield.paths import PathFlow
from trajlib.meanfield.stabilized import coefficients, integrate, step

TIMES = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0])


def setting(delta, alpha, sigma, rho, decay):
    return {"aspect_ratio": delta, "init_scale": alpha, "noise": sigma, "sparsity": rho, "weight_decay": decay}


# The solver

SETTINGS = {
    "few samples, small start": (0.5, 0.3, 0.1, 0.1, 0.0),
    "few samples, weight decay": (0.5, 1.0, 0.3, 0.3, 0.3),
    "few samples, large start": (0.5, 2.0, 0.1, 0.1, 0.0),
    "many samples, small start": (2.0, 0.3, 0.5, 0.1, 0.3),
    "many samples, no noise": (2.0, 1.0, 0.0, 0.5, 0.0),
    "many samples, large start": (2.0, 2.0, 0.5, 1.0, 0.3),
}


@pytest.mark.parametrize("constants", SETTINGS.values(), ids=SETTINGS.keys())
def test_agrees_with_direct_simulation(constants):
    """Within 3.5 combined standard errors at each of 12 dependent values; the spread of few networks has heavy tails."""
    few = constants[0] < 1
    run = diagonal_flow(1000 if few else 500, networks=24, seed=20, times=TIMES, tolerance=1e-3, **setting(*constants))
    mf = dmft(times=TIMES, paths=16_384, **setting(*constants))
    for name in ("excess_risk", "training_error"):
        error = np.hypot(getattr(run, name + "_error"), getattr(mf, name + "_error"))[1:]
        assert (np.abs(getattr(run, name) - getattr(mf, name))[1:] < 3.5 * error + 1e-7).all(), name
    np.testing.assert_allclose(run.excess_risk[0], mf.excess_risk[0], rtol=1e-12)


def test_small_start_and_long_times():
    """A start at 0.1 and times up to 10, where kernels from path-wise derivatives blow up."""
    constants = setting(0.5, 0.1, 0.1, 0.1, 0.0)
    times = np.array([0.0, 1.0, 2.0, 4.0, 7.0, 10.0])
    mf = dmft(times=times, **constants)
    assert (mf.uncertainty < 0.025 * mf.excess_risk).all()
    run = diagonal_flow(1000, networks=32, seed=3, times=times, tolerance=1e-3, **constants)
    for name in ("excess_risk", "training_error"):
        error = np.hypot(getattr(run, name + "_error"), getattr(mf, name + "_error"))[1:]
        assert (np.abs(getattr(run, name) - getattr(mf, name))[1:] < 3.5 * error).all()


def test_standard_errors_cover_independent_solutions():
    """Differences of two seeds, in units of their errors: t distributed with 14 degrees of freedom, or nearly."""
    one, two = (dmft(times=TIMES, paths=8192, seed=seed, convergence=False) for seed in (1, 2))
    score = (one.excess_risk - two.excess_risk)[1:] / np.hypot(one.excess_risk_error, two.excess_risk_error)[1:]
    assert np.abs(score).max() < 4
    assert (one.excess_risk_error[1:] < 0.01 * one.excess_risk[1:]).all()


def test_converges_in_paths_and_in_steps():
    reference = dmft(times=TIMES, seed=5)
    coarse = dmft(times=TIMES, seed=6, paths=8192, tolerance=0.002)
    error = np.abs(coarse.excess_risk - reference.excess_risk)[1:]
    assert (error < 4 * np.hypot(coarse.uncertainty, reference.uncertainty)[1:]).all()
    assert (reference.uncertainty[1:] < 0.01 * reference.excess_risk[1:]).all()
    assert (coarse.excess_risk_error[2:] > 2 * reference.excess_risk_error[2:]).all()


def test_same_seed_same_result_and_others_differ():
    one, same, other = (dmft(t_max=1.0, paths=1024, seed=s, convergence=False) for s in (3, 3, 4))
    np.testing.assert_array_equal(one.correlation, same.correlation)
    np.testing.assert_array_equal(one.field_correlation, same.field_correlation)
    assert (one.excess_risk[5:] != other.excess_risk[5:]).all()


def test_kernels_are_those_of_the_curves():
    mf = dmft(t_max=2.0, paths=4096, replicates=4, noise=0.3, convergence=False)
    np.testing.assert_allclose(np.diagonal(mf.correlation), mf.excess_risk, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(mf.field_correlation) / 0.5, mf.training_error, rtol=1e-12)
    for kernel in (mf.correlation, mf.field_correlation):
        np.testing.assert_allclose(kernel, kernel.T, atol=1e-14)
        assert np.linalg.eigvalsh(kernel).min() > -1e-10
    assert mf.excess_risk[0] == pytest.approx(1.0, abs=1e-12)
    assert mf.training_error[0] == pytest.approx(1.0 + 0.3**2, abs=1e-12)
    assert mf.response is None and mf.times.shape == (81,) and mf.correlation.shape == (81, 81)


def test_training_error_falls_for_any_number_of_paths():
    """dL/dt = -|gradient|² in the metric of the flow, for the sampled flow itself: its operator has a true adjoint."""
    model = Setting(init_scale=0.1)
    flow = PathFlow(model, 256, np.random.SeedSequence(0))
    start = np.zeros(256)
    residual, errors, moved = [], [], []
    for part in integrate(flow, start, 10.0, 1e-4, 10_000):
        _, r = flow.observe(part.t[1], part.y[1])
        residual.append(r @ r)
        slope = flow.rates(part.t[1], part.y[1]) * part.rate[1]
        moved.append(-2.0 / model.aspect_ratio * (flow.weights @ (slope * part.rate[1])))
        errors.append(part.t[1])
    residual, moved, times = np.array(residual), np.array(moved), np.array(errors)
    assert (np.diff(residual) < 0).all()
    steps = np.diff(times)
    trapezoid = 0.5 * steps * (moved[1:] + moved[:-1])
    correction = steps**2 / 12 * (np.gradient(moved, times)[:-1] - np.gradient(moved, times)[1:])
    np.testing.assert_allclose((trapezoid + correction).sum(), residual[-1] - residual[0], rtol=1e-3)


@pytest.mark.parametrize(("alpha", "delta", "t_max"), [(5.0, 0.5, 0.2), (2.0, 2.0, 0.4)])
def test_response_of_a_lazy_network_is_known(alpha, delta, t_max):
    """A large start makes the flow linear: R(t, s) is the mean of D exp(-D x (t - s)) over the spectrum of X'X."""
    times = np.linspace(0.0, t_max, 16)
    mf = dmft(aspect_ratio=delta, init_scale=alpha, times=times, paths=2048, replicates=2, convergence=False, response=True)  # fmt: skip
    x, _, _ = draw(Setting(aspect_ratio=delta), 1000, 0, 0)
    slope = 2 * alpha**2
    exact = (slope * np.exp(-slope * np.linalg.eigvalsh(x.T @ x) * times[:, None])).mean(axis=1)
    np.testing.assert_allclose(mf.response[-1, ::-1], exact, rtol=0.035)
    assert (np.triu(mf.response, 1) == 0).all()


def test_response_satisfies_steins_identity():
    """The mean of theta_t u_s is the integral of R(t, m) C_u(m, s): the two ways to a response agree, by energy balance."""
    mf = dmft(t_max=3.0, paths=8192, replicates=4, convergence=False, response=True)
    h = mf.times[1]
    weights = np.full(81, h)
    weights[0] = weights[-1] = h / 2
    operator = np.eye(81) + np.tril(mf.response, -1) * weights + np.diag(np.diagonal(mf.response)) * h / 2
    operator[0, 0] = 1.0
    memory = np.linalg.inv(operator)
    field = 0.5 * memory @ (mf.correlation + 0.1**2) @ memory.T
    np.testing.assert_allclose(np.diagonal(field), np.diagonal(mf.field_correlation), rtol=0.03)


def test_mean_square_form_of_one_atom():
    mf = dmft(sparsity=1.0, t_max=2.0, paths=2048, replicates=2, convergence=False)
    run = diagonal_flow(600, networks=8, sparsity=1.0, t_max=2.0, tolerance=1e-3)
    error = np.hypot(run.excess_risk_error, mf.excess_risk_error)
    assert (np.abs(run.excess_risk - mf.excess_risk) < 4 * error + 1e-12).all()


# What it refuses


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sparsity": 1.5}, "sparsity is a fraction and must be at most 1, got 1.5"),
        ({"sparsity": 0.0}, "sparsity must be a positive finite number"),
        ({"aspect_ratio": -1.0}, "aspect_ratio must be a positive finite number, got -1.0"),
        ({"init_scale": 0.0}, "init_scale must be a positive finite number"),
        ({"noise": -0.1}, "noise must be a finite number >= 0"),
        ({"t_max": np.inf}, "t_max must be a positive finite number"),
        ({"paths": 100}, "paths must be at least 2048 for each of 2 replicates, 4096 in all, got 100"),
        ({"paths": 4096, "replicates": 8}, "paths must be at least 2048 for each of 8"),
        ({"replicates": 1}, "replicates must be an integer >= 2"),
        ({"tolerance": 0.1}, "tolerance must be at most 0.01"),
        ({"times": np.array([1.0, 0.5])}, "times must be a vector of increasing numbers"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        dmft(**arguments)


def test_refuses_what_it_cannot_resolve():
    with pytest.raises(ArithmeticError, match="directions, too many for 512 paths; use more paths"):
        dmft(
            aspect_ratio=2.0,
            init_scale=0.1,
            noise=0.5,
            sparsity=0.05,
            t_max=30.0,
            paths=1024,
            replicates=2,
            convergence=False,
        )
    with pytest.raises(ArithmeticError, match=r"the response would need \d+ nodes"):
        dmft(init_scale=3.0, t_max=8.0, paths=1024, replicates=2, convergence=False, response=True)
    with pytest.raises(NotConverged, match=r"is uncertain by .* use more paths \(got 4096\)") as caught:
        dmft(init_scale=0.01, noise=0.3, sparsity=0.02, t_max=4.0, paths=4096)
    assert np.isfinite(caught.value.result.excess_risk).all()


def test_interrupted_solution_is_kept(monkeypatch):
    from trajlib.meanfield import solver

    whole, calls = solver._solve, []

    def impatient(*arguments):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(whole(*arguments))
        return calls[-1]

    monkeypatch.setattr(solver, "_solve", impatient)
    with pytest.raises(tl.Interrupted) as caught:
        dmft(t_max=0.5, paths=8192)
    kept = caught.value.result
    assert kept.replicates == 3 and kept.path_change is None and (kept.uncertainty == kept.excess_risk_error).all()


# Direct simulation


def test_both_forms_are_one_flow_and_conserve_the_product():
    x, y, _ = draw(Setting(), 200, 0, 0)
    times = np.linspace(0.0, 4.0, 9)
    options = {"init_scale": 0.4, "weight_decay": 0.2, "times": times, "tolerance": 1e-8}
    mirror, weights = (gradient_flow(x, y, form=form, **options) for form in ("mirror", "weights"))
    np.testing.assert_allclose(weights.theta, mirror.theta, atol=3e-5)
    conserved = (0.4**2 * np.exp(-2 * 0.2 * times))[:, None]
    np.testing.assert_allclose(mirror.u * mirror.v, np.broadcast_to(conserved, (9, 200)), rtol=1e-13)
    np.testing.assert_allclose(weights.u * weights.v, np.broadcast_to(conserved, (9, 200)), rtol=1e-4)


def test_loss_falls_by_the_squared_gradient():
    """dL/dt = -|grad L|² in (u, v)."""
    x, y, _ = draw(Setting(), 100, 1, 0)
    times = np.linspace(0.0, 2.0, 401)
    path = gradient_flow(x, y, weight_decay=0.1, times=times, tolerance=1e-6)
    network = DiagonalNetwork(x, y, weight_decay=0.1)
    w = np.concatenate([path.u, path.v], axis=1)
    np.testing.assert_allclose(network.loss(w), path.loss, rtol=1e-12)
    power = -(network.gradient(w) ** 2).sum(axis=1)
    simpson = (times[1] / 3) * (power[0] + 4 * power[1::2].sum() + 2 * power[2:-1:2].sum() + power[-1])
    assert path.loss[-1] - path.loss[0] == pytest.approx(simpson, rel=1e-4)
    assert (np.diff(path.loss) < 0).all()


def test_flow_reaches_known_solutions():
    """One coordinate without noise: d theta / dt = 2 sqrt(theta² + a²)(theta* - theta), solved to high order."""
    from scipy.integrate import solve_ivp

    times = np.linspace(0.0, 3.0, 7)
    path = gradient_flow(np.ones((1, 1)), np.ones(1), init_scale=0.3, times=times, tolerance=1e-7)
    exact = solve_ivp(
        lambda t, q: 2 * np.sqrt(q**2 + 0.3**4) * (1 - q), (0, 3), [0.0], t_eval=times, rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(path.theta[:, 0], exact.y[0], atol=2e-5)


def test_networks_do_not_depend_on_how_many_there_are():
    few, many = (diagonal_flow(80, networks=m, t_max=1.0) for m in (2, 4))
    np.testing.assert_array_equal(few.excess_risks, many.excess_risks[:2])
    assert not np.array_equal(many.excess_risks[0], many.excess_risks[1])
    assert np.count_nonzero(few.signal[0]) == 8 and (few.signal**2).mean() == pytest.approx(1.0)


def test_torch_gives_the_same_flow():
    pytest.importorskip("torch")
    here, there = (diagonal_flow(100, networks=2, t_max=2.0, device=device) for device in (None, "cpu"))
    np.testing.assert_allclose(there.excess_risks, here.excess_risks, rtol=1e-6)
    with pytest.raises(ValueError, match="device must be one of"):
        diagonal_flow(50, networks=2, device="cuda:99")


@pytest.mark.cuda
def test_cuda_gives_the_same_flow():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    here, there = (diagonal_flow(300, networks=2, t_max=2.0, device=device) for device in (None, "cuda"))
    np.testing.assert_allclose(there.excess_risks, here.excess_risks, rtol=1e-5)


def test_interrupted_simulation_is_kept(monkeypatch):
    from trajlib.meanfield import flow

    whole, calls = flow.gradient_flow, []

    def impatient(*arguments, **options):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return whole(*arguments, **options)

    monkeypatch.setattr(flow, "gradient_flow", impatient)
    with pytest.raises(tl.Interrupted) as caught:
        diagonal_flow(50, networks=5, t_max=0.5)
    assert caught.value.result.excess_risks.shape == (2, 81)


def test_bad_data():
    with pytest.raises(ValueError, match="x must have shape"):
        gradient_flow(np.ones((3, 2)), np.ones(2))
    with pytest.raises(ValueError, match="form must be one of 'mirror', 'weights'"):
        gradient_flow(np.ones((3, 2)), np.ones(3), form="u")
    with pytest.raises(ValueError, match="dimension must leave at least one"):
        diagonal_flow(3, sparsity=0.1)


# The integrator


@pytest.mark.parametrize("stages", [2, 3, 7, 20])
def test_steps_are_of_second_order(stages):
    """y' = -y² + sin t, whose time dependence tests the times of the stages too."""
    from scipy.integrate import solve_ivp

    class Scalar:
        def rate(self, t, y):
            return -y * y + np.sin(t)

    exact = solve_ivp(lambda t, y: -y * y + np.sin(t), (0, 2), [1.0], rtol=1e-12, atol=1e-13).y[0, -1]
    errors = []
    for count in (20, 40, 80):
        flow, y, h = Scalar(), np.array([1.0]), 2.0 / count
        for i in range(count):
            y = step(flow, i * h, h, y, flow.rate(i * h, y), stages).y[1]
        errors.append(abs(y[0] - exact))
    order = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((order > 1.8) & (order < 2.3)).all()


@pytest.mark.parametrize("s", [2, 5, 12])
def test_stability_reaches_as_far_as_promised(s):
    """|R(z)| <= 1 on the real axis down to -0.65 s² and more; R agrees with exp to second order at 0."""

    class Linear:
        def __init__(self, z):
            self.z = z

        def rate(self, t, y):
            return self.z * y

    z = -np.linspace(1e-3, ((s - 1) ** 2 - 1) / 1.54 if s > 2 else 1.9, 400)
    grown = step(Linear(z), 0.0, 1.0, np.ones(400), z, s).y[1]
    assert (np.abs(grown) < 1).all()
    assert grown[0] == pytest.approx(np.exp(z[0]), abs=1e-9)
    assert coefficients(s)[-1][-1] == 1.0


# Long times


def test_minimum_norm_is_the_limit_of_large_starts():
    for delta, sigma in ((0.3, 0.0), (0.5, 0.1), (0.8, 0.5)):
        closed = minimum_norm(aspect_ratio=delta, noise=sigma)
        assert closed.excess_risk == pytest.approx(1 - delta + sigma**2 * delta / (1 - delta))
        end = long_time(aspect_ratio=delta, noise=sigma, init_scale=30.0)
        assert end.excess_risk == pytest.approx(closed.excess_risk, rel=1e-4)
        assert end.rate == pytest.approx(2 * 30.0**2 * (1 - np.sqrt(delta)) ** 2, rel=1e-3)


def test_basis_pursuit_is_the_limit_of_small_starts():
    """Slowly: the correction goes like 1 / ln(1 / alpha)."""
    limit = basis_pursuit().excess_risk
    gaps = np.array([long_time(init_scale=10.0**-k).excess_risk - limit for k in (1, 2, 4, 8)])
    assert (np.diff(gaps) < 0).all() and 0 < gaps[-1] < 0.07 * limit
    assert basis_pursuit(noise=0.0).excess_risk == 0.0
    assert (
        basis_pursuit(noise=0.0, sparsity=0.25).excess_risk > 0.1
    )  # beyond the transition, rho = 0.193 at delta = 0.5


@pytest.mark.parametrize(("delta", "decay"), [(0.5, 0.3), (2.0, 0.3), (0.5, 0.05)])
def test_lasso_limit_against_scikit_learn(delta, decay):
    from sklearn.linear_model import Lasso

    model = Setting(delta, 0.3, 0.3, 0.1, decay)
    risks, trainings = [], []
    for i in range(16):
        x, y, signal = draw(model, 600, 5, i)
        fit = Lasso(alpha=decay / len(y), fit_intercept=False, tol=1e-8, max_iter=100_000).fit(x, y)
        risks.append(((fit.coef_ - signal) ** 2).mean())
        trainings.append(((x @ fit.coef_ - y) ** 2).mean())
    end = long_time(aspect_ratio=delta, noise=0.3, sparsity=0.1, weight_decay=decay)
    for found, value in ((risks, end.excess_risk), (trainings, end.training_error)):
        assert abs(np.mean(found) - value) < 3.5 * np.std(found, ddof=1) / 4


def test_flow_with_weight_decay_ends_at_the_lasso():
    from sklearn.linear_model import Lasso

    x, y, _ = draw(Setting(weight_decay=0.3), 200, 0, 0)
    path = gradient_flow(x, y, weight_decay=0.3, times=np.array([60.0]), tolerance=1e-3)
    fit = Lasso(alpha=0.3 / len(y), fit_intercept=False, tol=1e-10, max_iter=100_000).fit(x, y)

    def objective(theta):
        return 0.5 * ((x @ theta - y) ** 2).sum() + 0.3 * np.abs(theta).sum()

    assert objective(path.theta[-1]) == pytest.approx(objective(fit.coef_), rel=1e-3)
    assert objective(path.theta[-1]) > objective(fit.coef_)


def test_solution_goes_to_its_limits():
    """Fewer samples: the interpolator and its rate; with decay the LASSO; more samples: least squares."""
    times = np.array([0.0, 10.0, 20.0, 30.0])
    mf, end = dmft(init_scale=1.0, times=times, paths=16_384), long_time(init_scale=1.0)
    assert abs(mf.excess_risk[-1] - end.excess_risk) < 4 * mf.uncertainty[-1] + 1e-4
    slope = -0.5 * np.diff(np.log(mf.training_error))[-1] / 10.0
    # a spectrum that begins like a square root brings a power of the time, t^(-3/2), before the exponential
    assert slope - 0.75 * np.log(30 / 20) / 10.0 == pytest.approx(end.rate, rel=0.1)
    decay = {"aspect_ratio": 2.0, "noise": 0.5, "weight_decay": 0.3}
    mf, end = dmft(times=np.array([0.0, 30.0]), paths=8192, **decay), long_time(**decay)
    assert mf.excess_risk[-1] == pytest.approx(end.excess_risk, rel=0.01)
    assert mf.training_error[-1] == pytest.approx(end.training_error, rel=0.01)
    mf, end = dmft(aspect_ratio=2.0, init_scale=1.0, times=times, paths=4096), long_time(aspect_ratio=2.0)
    assert mf.excess_risk[-1] == pytest.approx(end.excess_risk, rel=0.01)
    assert mf.training_error[-1] == pytest.approx(end.training_error, rel=0.01)


def test_rate_is_that_of_networks_that_have_arrived():
    """The slowest rate is the least eigenvalue of X D X' at the end of the flow; at finite size it lies above the edge."""
    end, edges = long_time(init_scale=1.0), []
    model = Setting(init_scale=1.0)
    for i in range(6):
        x, y, _ = draw(model, 600, 9, i)
        theta = gradient_flow(x, y, init_scale=1.0, times=np.array([20.0]), tolerance=1e-3).theta[0]
        edges.append(np.linalg.eigvalsh((x * (2.0 * np.sqrt(theta**2 + 1.0))) @ x.T)[0])
    assert np.mean(edges) == pytest.approx(end.rate, rel=0.1)
    assert np.mean(edges) > end.rate


def test_smaller_starts_end_better_and_slower():
    ends = [long_time(init_scale=alpha) for alpha in (0.1, 0.3, 1.0, 3.0)]
    assert (np.diff([end.excess_risk for end in ends]) > 0).all()
    assert (np.diff([end.rate for end in ends]) > 0).all()


def test_spectrum_edges_against_a_matrix():
    rng = np.random.default_rng(0)
    rates = np.array([0.5, 1.0, 4.0])
    weights = np.array([0.3, 0.5, 0.2])
    diagonal = np.repeat(rates, (2000 * weights).astype(int))
    ends = []
    for _ in range(4):
        x = rng.standard_normal((500, 2000)) / np.sqrt(2000)
        ends.append(np.linalg.eigvalsh((x * diagonal) @ x.T)[[0, -1]])
    left, right = np.mean(ends, axis=0)
    assert spectrum_edge(rates, weights, 0.25) == pytest.approx(left, rel=0.03)
    assert spectrum_edge(rates, weights, 0.25, side="right") == pytest.approx(right, rel=0.03)
    one = np.ones(1)
    assert spectrum_edge(one, one, 0.25, side="right") == pytest.approx(2.25)


def test_no_limit_at_as_many_samples_as_inputs():
    for call in (long_time, minimum_norm, basis_pursuit):
        with pytest.raises(ValueError, match="aspect_ratio must be below 1"):
            call(aspect_ratio=1.0)


# The network as a map


def test_derivatives_of_the_map():
    x, y, _ = draw(Setting(), 12, 0, 0)
    network = DiagonalNetwork(x, y, lr=0.3, weight_decay=0.1) if len(y) else None
    w = np.random.default_rng(0).standard_normal((3, 24))
    h = 1e-6 * np.eye(24)
    slope = (network.loss(w[:, None] + h) - network.loss(w[:, None] - h)) / 2e-6
    np.testing.assert_allclose(network.gradient(w), slope, atol=1e-7)
    bend = (network.gradient(w[:, None] + h) - network.gradient(w[:, None] - h)) / 2e-6
    np.testing.assert_allclose(network.hessian(w), bend, atol=1e-6)
    np.testing.assert_allclose(network.jacobian(w), np.eye(24) - 0.3 * network.hessian(w), atol=1e-14)


def test_small_steps_follow_the_flow():
    x, y, _ = draw(Setting(), 60, 0, 0)
    path = gradient_flow(x, y, times=np.array([2.0]), tolerance=1e-6)
    gaps = []
    for lr in (0.01, 0.005):
        network = DiagonalNetwork(x, y, lr=lr)
        w = network.orbit(network.init(0.3), round(2.0 / lr), every=100)[:, -1]
        gaps.append(np.abs(network.theta(w)[0] - path.theta[-1]).max())
    assert gaps[1] < 0.02 and gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.1)


def test_lyapunov_spectrum_of_gradient_descent():
    """At a fixed point the exponents are ln|1 - lr * curvature|; past the edge of stability the largest is positive."""
    x, y, _ = draw(Setting(aspect_ratio=2.0), 10, 0, 0)
    calm = DiagonalNetwork(x, y, lr=0.01, weight_decay=0.1)
    spectrum = tl.lyapunov_spectrum(calm, calm.init(0.3), 400, transient=20_000)
    multipliers = np.abs(np.linalg.eigvalsh(calm.jacobian(spectrum.final)[0]))
    np.testing.assert_allclose(spectrum.exponents[0], np.log(np.sort(multipliers)[::-1]), atol=1e-3)


def test_one_coordinate_goes_from_a_fixed_point_to_a_chebyshev_map():
    """Without v, u -> u (1 - lr (u² / 2 - 1)). At lr = 2 that is 3 u - u³, with exponent ln 3; v has exponent 0 in both cases."""
    w0, found = np.array([[0.3, 0.0]]), []
    for lr in (0.8, 2.0):
        network = DiagonalNetwork(np.ones((1, 1)), np.ones(1), lr=lr)
        found.append(tl.lyapunov_spectrum(network, w0, 5000, transient=200).exponents[0])
    np.testing.assert_allclose(found[0], [0.0, np.log(0.6)], atol=1e-6)
    np.testing.assert_allclose(found[1], [np.log(3.0), 0.0], atol=0.02)


def test_a_learning_rate_for_each_network():
    """Rows of a batch have the bits of runs of their own, also where they are chaotic: sums have one order."""
    x, y, _ = draw(Setting(), 20, 0, 0)
    rates = np.array([0.1, 0.7, 1.1])
    together = DiagonalNetwork(x, y, lr=rates)
    w0 = together.init(0.5, 3)
    orbits = together.orbit(w0, 300)
    spectrum = tl.lyapunov_spectrum(together, w0, 100, k=2)
    for i, lr in enumerate(rates):
        alone = DiagonalNetwork(x, y, lr=float(lr))
        np.testing.assert_array_equal(alone.orbit(w0[i : i + 1], 300)[0], orbits[i])
        one = tl.lyapunov_spectrum(alone, w0[i : i + 1], 100, k=2).exponents[0]
        np.testing.assert_allclose(one, spectrum.exponents[i], rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="lr must be one number or one a network"):
        together(w0[:2])


def test_a_step_shrinks_the_product_of_the_weights():
    """The flow conserves u v; a step multiplies it by 1 - (lr g)², g the gradient in theta."""
    x, y, _ = draw(Setting(), 20, 0, 0)
    network = DiagonalNetwork(x, y, lr=0.4)
    w = np.random.default_rng(0).standard_normal((2, 40))
    g = (network.theta(w) @ x.T - y) @ x
    u, v = np.split(w, 2, axis=-1)
    after = np.split(network(w), 2, axis=-1)
    np.testing.assert_allclose(after[0] * after[1], u * v * (1 - (0.4 * g) ** 2), rtol=1e-12)
