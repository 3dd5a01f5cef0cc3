"""Maps of the user's own: what is accepted, what is lifted, what is refused and how; every verb takes them."""

import types

import numpy as np
import pytest

import trajlib as tl
from trajlib.dynamics.protocol import Dynamics, OwnMap, as_dynamics
from trajlib.dynamics.reference import HenonMap, LinearMap

START = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 2))


def one_henon(x):
    """One state at a time."""
    return np.array([1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]])


def one_jacobian(x):
    return np.array([[-2.8 * x[0], 1.0], [0.3, 0.0]])


def own(**members):
    return types.SimpleNamespace(**members)


FORMS = {
    "batched": own(step=lambda x, t: HenonMap()(x), jacobian=HenonMap().jacobian),
    "without t": own(step=HenonMap().__call__, jacobian=HenonMap().jacobian),
    "one state": own(step=lambda x, t: one_henon(x), jacobian=one_jacobian),
    "jvp": own(step=HenonMap().__call__, jvp=lambda x, V, t: V @ HenonMap().jacobian(x).swapaxes(-1, -2)),
    "jvp of one state": own(step=one_henon, jvp=lambda x, V: V @ one_jacobian(x).T),
    "jvp of one vector": own(step=one_henon, jvp=lambda x, v, t: one_jacobian(x) @ v if v.ndim == 1 else None),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "n", [1, 2, 3]
)  # with two states of two entries, a map of one state has the right shape by chance
def test_every_verb_takes_every_form(form, n):
    gd, want, w0 = FORMS[form], HenonMap(), START[:n]
    np.testing.assert_array_equal(tl.train(gd, w0, 60).weights, tl.train(want, w0, 60).weights)
    spectrum = tl.lyapunov_spectrum(gd, w0, 200, transient=20)
    np.testing.assert_allclose(spectrum.growth, tl.lyapunov_spectrum(want, w0, 200, transient=20).growth, atol=1e-9)
    tangents = [tl.tangent(g, w0, np.ones((n, 1, 2)), 10).norm for g in (gd, want)]
    np.testing.assert_allclose(*tangents, rtol=1e-9)
    copies = [tl.diverge(g, w0, radius=1e-6, copies=4, seed=3, steps=12) for g in (gd, want)]
    np.testing.assert_array_equal(copies[0].distance, copies[1].distance)
    assert copies[0].loss is None and copies[0].engine == "generic"
    times = tl.finite_time_exponents(gd, w0, 20, singular_values=True)
    np.testing.assert_allclose(times.singular_exponents.sum(axis=-1), np.log(0.3), atol=1e-10)
    clv = [tl.covariant_vectors(g, w0, 120, transient=(40, 40)).vectors for g in (gd, want)]
    np.testing.assert_allclose(*clv, atol=1e-9)
    assert tl.present_vectors(gd, w0, [60, 80], lag=20).vectors.shape == (n, 2, 2, 2)


def test_the_step_sees_the_time():
    """x(t) = t! : also across the pieces of a transient, of records in small buffers, and of checkpoints."""
    gd = own(step=lambda x, t: x * (t + 1.0), jacobian=lambda x, t: np.full((len(x), 1, 1), t + 1.0))
    run = tl.train(gd, np.ones((2, 1)), 12)
    assert run.weights[0, :, 0].tolist() == [float(f) for f in np.cumprod([1, *range(1, 13)])]
    growth = tl.lyapunov_spectrum(gd, np.ones((1, 1)), 8, transient=5, blocks=4).growth[0, 0]
    np.testing.assert_allclose(growth, [np.log([6 + 2 * b, 7 + 2 * b]).mean() for b in range(4)])
    clv = tl.covariant_vectors(gd, np.full((1, 1), 1e-200), 20, transient=(4, 4), checkpoint=3)
    np.testing.assert_allclose(clv.growth[0, :, 0], np.log(np.arange(5.0, 18.0)))


class ByPlace:
    """A rate for each place of the batch: it cannot be taken apart."""

    def __init__(self, rates):
        self.rates = rates

    def __call__(self, x):
        return x * self.rates[:, None]

    def jacobian(self, x):
        return self.rates[:, None, None] * np.eye(x.shape[-1])


def test_parameters_by_place_stay_with_their_place():
    rates = np.array([0.5, 1.5, 2.0])
    gd = ByPlace(rates)
    w0 = np.ones((3, 2))
    assert not as_dynamics(gd, w0).independent and as_dynamics(HenonMap(), START).independent
    np.testing.assert_allclose(tl.train(gd, w0, 10).final[:, 0], rates**10)
    div = tl.diverge(gd, w0, radius=1e-6, copies=5, steps=10)
    np.testing.assert_allclose(
        div.distance[..., -1] / div.distance[..., 0], np.repeat(rates[:, None], 5, axis=1) ** 10, rtol=1e-8
    )
    clv = tl.covariant_vectors(gd, w0, 30, memory=1)
    np.testing.assert_allclose(clv.exponents, np.repeat(np.log(rates)[:, None], 2, axis=1))


def test_a_map_that_remembers_is_not_taken_for_one_of_single_states():
    class Noisy:
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def __call__(self, x):
            return x + self.rng.standard_normal(x.shape)

    assert tl.train(Noisy(), np.zeros((4, 4)), 3).weights.shape == (4, 4, 4)


def test_losses_and_gradients_of_own_maps_are_recorded():
    gd = own(step=lambda x, t: 0.9 * x, loss=lambda x: 0.5 * (x * x).sum(axis=-1), gradient=lambda x: x)
    run = tl.train(gd, START, 5, record=("loss", "gradient_norm"))
    np.testing.assert_allclose(run.loss[:, -1], 0.5 * (run.final**2).sum(axis=-1))
    np.testing.assert_allclose(run.gradient_norm[:, 0], np.linalg.norm(START, axis=-1))
    assert tl.train(gd, START, 5).loss.shape == (3, 6) and tl.train(gd, START, 5).weights is None


WRONG = {
    "float32": (own(step=lambda x, t: x.astype(np.float32)), "float32 of shape"),
    "shrinks": (own(step=lambda x, t: x[..., :1]), r"returned float64 of shape \(3, 1\)"),
    "list": (own(step=lambda x, t: list(x)), "a list"),
    "nothing": (own(step=lambda x, t: None), "a NoneType"),
    "fails": (own(step=lambda x, t: x @ np.ones(7)), "ValueError"),
    "no map": (own(), "must be a map such as GradientDescent"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_map_is_refused_with_an_example(name):
    gd, message = WRONG[name]
    with pytest.raises(TypeError, match=message) as caught:
        tl.train(gd, START, 3)
    assert name == "no map" or "for example\n" in str(caught.value)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "must have a jacobian or a jvp"),
        ({"jacobian": lambda x: np.eye(3)}, r"jacobian .* return float64 of shape \(3, 2, 2\)"),
        ({"jacobian": lambda x: one_jacobian(x[0]) + 0j}, "complex128"),
        ({"jvp": lambda x, V, t: V[..., :1]}, r"jvp .* shape \(3, 2\) and \(3, 2, 2\)"),
    ],
)
def test_a_wrong_derivative_is_refused(members, message):
    gd = own(step=lambda x, t: HenonMap()(x), **members)
    for verb in (
        lambda: tl.lyapunov_spectrum(gd, START, 100),
        lambda: tl.covariant_vectors(gd, START, 100),
        lambda: tl.tangent(gd, START, np.ones((3, 1, 2)), 5),
    ):
        with pytest.raises(TypeError, match=message):
            verb()
    tl.train(gd, START, 3)  # needs none


def test_a_jacobian_of_one_state_does_not_broadcast():
    """(p, p) for any batch would be the first state's for all."""
    gd = own(step=HenonMap().__call__, jacobian=lambda x: one_jacobian(x.reshape(-1, 2)[0]))
    mine, want = (tl.finite_time_exponents(g, START, 5).exponents for g in (gd, HenonMap()))
    np.testing.assert_allclose(mine, want, atol=1e-12)


@pytest.mark.parametrize("engine", ["cpu", "torch", "nonsense"])
def test_engines_that_cannot_run_own_maps_say_so(engine):
    if engine == "torch":
        pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"engine='generic'|must be one of"):
        tl.train(HenonMap(), START, 3, engine=engine)
    with pytest.raises(ValueError, match="leave them out"):
        tl.lyapunov_spectrum(HenonMap(), START, 100, device="cuda")


NETWORKS = [
    tl.GradientDescent(tl.Perceptron(4, 3, 3), tl.iris(), lr=0.5, weight_decay=0.01),
    tl.GradientDescent(tl.Perceptron(4, 3, 3, activation="tanh"), tl.iris(), lr=np.array([0.1, 0.5])),
    tl.SoftmaxMap(np.array([3.0, 7.0]), np.array([0.3, 0.3, 0.4])),
    tl.DiagonalNetwork(
        np.random.default_rng(1).standard_normal((3, 4)), np.ones(3), lr=np.array([0.01, 0.02]), weight_decay=0.1
    ),
]


@pytest.mark.parametrize("gd", NETWORKS, ids=lambda gd: type(gd).__name__)
def test_jvp_is_the_jacobian_times_the_vectors(gd):
    assert isinstance(gd, Dynamics) and as_dynamics(gd, np.ones((2, gd.size))) is gd
    w = np.random.default_rng(2).standard_normal((2, gd.size))
    V = np.random.default_rng(3).standard_normal((2, 3, gd.size))
    want = V @ gd.jacobian(w).swapaxes(1, 2)
    np.testing.assert_allclose(gd.jvp(w, V), want, atol=1e-12)
    np.testing.assert_array_equal(gd.step(w, 5), gd(w))
    other = OwnMap(types.SimpleNamespace(step=gd.step, jvp=gd.jvp), w, True)
    np.testing.assert_allclose(other.jacobian(w), gd.jacobian(w), atol=1e-12)


@pytest.mark.parametrize("gd", NETWORKS, ids=lambda gd: type(gd).__name__)
def test_the_generic_engine_runs_the_library_s_own_maps(gd):
    w0 = np.random.default_rng(4).standard_normal((2, gd.size)) * 0.3
    run = tl.train(gd, w0, 30, record=("loss", "norm", "weights"), engine="generic")
    auto = tl.train(gd, w0, 30, record=("loss", "norm", "weights"))
    np.testing.assert_array_equal(run.final, auto.final)
    np.testing.assert_allclose(run.loss, auto.loss, rtol=1e-12)
    mine, want = (tl.lyapunov_spectrum(gd, w0, 40, k=3, blocks=4, engine=e).growth for e in ("generic", "auto"))
    np.testing.assert_allclose(mine, want, atol=1e-9)
    copies = [tl.diverge(gd, w0, radius=1e-3, copies=3, steps=10, engine=e).distance for e in ("generic", "auto")]
    np.testing.assert_allclose(*copies, rtol=1e-9)


def test_diagonal_networks_are_taken_by_every_verb():
    """They had an orbit of their own, and no other verb."""
    gd = NETWORKS[-1]
    w0 = gd.init(0.3, 2)
    run = tl.train(gd, w0, 50, record=("loss", "weights"))
    np.testing.assert_array_equal(run.weights, gd.orbit(w0, 50))
    assert (np.diff(run.loss) < 0).all()
    assert tl.perturb(gd, w0, radius=1e-6, copies=2, seed=0).shape == (2, 2, 8)
    assert tl.diverge(gd, w0, radius=1e-6, steps=20).distance.shape == (2, 5, 21)


def test_linear_maps_of_many_shapes():
    """Random maps: the exponents are the logarithms of the moduli of the eigenvalues, whatever the form of the map."""
    rng = np.random.default_rng(5)
    for p in (2, 3, 5):
        basis = np.linalg.qr(rng.standard_normal((p, p)))[0] @ np.diag(1 + rng.uniform(0, 1, p))
        matrix = basis @ np.diag(np.linspace(1.3, 0.4, p)) @ np.linalg.inv(basis)
        gd = own(step=lambda x, matrix=matrix: matrix @ x, jacobian=lambda x, matrix=matrix: matrix.copy())
        for map_ in (gd, LinearMap(matrix)):
            spectrum = tl.lyapunov_spectrum(map_, np.zeros((2, p)), 400, transient=400)
            np.testing.assert_allclose(spectrum.exponents, np.tile(np.log(np.linspace(1.3, 0.4, p)), (2, 1)), atol=1e-9)
            assert spectrum.converged.all() and spectrum.resolved.all()
