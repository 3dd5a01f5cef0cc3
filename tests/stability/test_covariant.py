"""Covariant vectors of systems whose vectors are known, then of networks: covariance, neutral directions, bits."""

import hashlib

import machine_code
import numpy as np
import pytest
from small_networks import parallel, small

import trajlib as tl
from trajlib.dynamics.reference import HenonMap, LinearMap


class StandardMaps:
    """Two coupled standard maps (q1, q2, p1, p2): symplectic, chaotic."""

    kicks, coupling = np.array([3.0, 2.0]), 0.5

    def _force(self, q):
        pull = self.coupling * np.sin(q[..., 1] - q[..., 0])
        return self.kicks * np.sin(q) + np.stack([pull, -pull], axis=-1)

    def __call__(self, w):
        p = w[..., 2:] + self._force(w[..., :2])
        return np.concatenate([w[..., :2] + p, p], axis=-1) % (2 * np.pi)

    def jacobian(self, w):
        q = w[..., :2]
        slope = self.coupling * np.cos(q[..., 1] - q[..., 0])
        force = np.zeros((*w.shape[:-1], 2, 2))
        for i in range(2):
            force[..., i, i] = self.kicks[i] * np.cos(q[..., i]) - slope
            force[..., i, 1 - i] = slope
        one = np.broadcast_to(np.eye(2), force.shape)
        return np.concatenate([np.concatenate([one + force, one], -1), np.concatenate([force, one], -1)], -2)


def carried(jacobian, clv):
    """J v at each time, of unit length, and the logarithms of the lengths that it had."""
    moved = jacobian @ clv.vectors
    length = np.linalg.norm(moved, axis=2)
    return moved / length[:, :, None], np.log(length)


def test_linear_map_has_its_eigenvectors():
    values = np.array([1.5, -1.1, 0.9, -0.5, 0.1])
    basis = np.random.default_rng(0).standard_normal((5, 5))
    basis /= np.linalg.norm(basis, axis=0)
    matrix = basis @ np.diag(values) @ np.linalg.inv(basis)
    clv = tl.covariant_vectors(LinearMap(matrix), np.zeros((2, 5)), 500, transient=(200, 200))
    assert clv.times.tolist() == list(range(200, 301)) and clv.vectors.shape == (2, 101, 5, 5)
    assert parallel(clv.vectors, basis).max() < 1e-12
    np.testing.assert_allclose(clv.exponents, np.broadcast_to(np.log(np.abs(values)), (2, 5)), atol=1e-12)
    assert clv.converged.all() and clv.discrepancy.max() < 1e-8
    want = np.arccos(np.abs(basis.T @ basis).clip(max=1) * (1 - np.eye(5)) + np.eye(5))
    np.testing.assert_allclose(clv.angles[1, 50], want, atol=1e-7)


def test_orthonormal_vectors_are_not_covariant():
    """The test above can fail: the Gram-Schmidt vectors of the same map are far from its eigenvectors."""
    basis = np.random.default_rng(0).standard_normal((5, 5))
    basis /= np.linalg.norm(basis, axis=0)
    matrix = basis @ np.diag([1.5, -1.1, 0.9, -0.5, 0.1]) @ np.linalg.inv(basis)
    q = tl.present_vectors(LinearMap(matrix), np.zeros((1, 5)), [300], lag=0).vectors
    assert parallel(q, basis)[0, 0].max() > 0.1


def test_fewer_vectors_are_the_first_of_all():
    gd, w0 = small(), small().network.init(3, seed=0)
    options = {"steps": 300, "transient": (100, 100)}
    whole, some = tl.covariant_vectors(gd, w0, **options), tl.covariant_vectors(gd, w0, k=4, **options)
    assert some.vectors.shape == (3, 101, 9, 4)
    assert parallel(some.vectors, whole.vectors[..., :4]).max() < 1e-9
    np.testing.assert_allclose(some.exponents, whole.exponents[:, :4], atol=1e-12)


@pytest.fixture(scope="module")
def henon():
    start = np.random.default_rng(0).uniform(-0.1, 0.1, (40, 2))
    return tl.covariant_vectors(HenonMap(), start, 3000, transient=(300, 100))


def test_henon_map_has_its_published_exponents(henon):
    """0.4192 and -1.6229 (sum ln 0.3), within five standard errors of the 40 runs."""
    assert henon.converged.all()
    error = henon.exponents.std(axis=0, ddof=1) / np.sqrt(40)
    assert (error < 2e-3).all()
    assert (np.abs(henon.exponents.mean(axis=0) - [0.41922, -1.62319]) < 5 * error).all()


def test_henon_map_is_covariant(henon):
    moved, growth = carried(HenonMap().jacobian(henon.states), henon)
    assert np.abs(moved[:, :-1] - henon.vectors[:, 1:]).max() < 1e-10  # not only parallel: of the same sign
    np.testing.assert_allclose(growth, henon.growth, atol=1e-11)
    np.testing.assert_allclose(henon.exponents, henon.growth.mean(axis=1), atol=1e-12)
    sine = np.sin(henon.angles[..., 0, 1])  # areas shrink by 0.3
    lost = henon.growth.sum(axis=-1)[:, :-1] + np.log(sine[:, 1:] / sine[:, :-1])
    np.testing.assert_allclose(lost, np.log(0.3), atol=1e-9)


def test_henon_map_has_tangencies(henon):
    """The second vector is what the next 25 steps shrink most; the angle to it comes close to 0, for the map is not hyperbolic.

    A generic density of angles near 0 is flat, so that a tenth of an angle has about a tenth of its points.
    """
    angle = henon.angles[..., 0, 1].ravel()
    assert angle.min() < 1e-3
    assert 0.05 < (angle < 0.01).sum() / (angle < 0.1).sum() < 0.2
    product = np.broadcast_to(np.eye(2), (40, 2, 2))
    for t in range(1000, 1025):
        product = HenonMap().jacobian(henon.states[:, t]) @ product
        product = product / np.abs(product).max(axis=(1, 2), keepdims=True)
    shrunk = np.linalg.svd(product)[2][:, 1]
    assert parallel(henon.vectors[:, 1000, :, 1:], shrunk[:, :, None]).max() < 1e-6


def test_a_symplectic_map_has_conjugate_pairs():
    """The symplectic form of v_i and v_j is 0 unless they are a pair, and the map preserves the form of a pair."""
    start = np.random.default_rng(1).uniform(0, 2 * np.pi, (4, 4))
    clv = tl.covariant_vectors(StandardMaps(), start, 4000, transient=(1000, 1000))
    np.testing.assert_allclose(clv.exponents + clv.exponents[:, ::-1], 0, atol=5e-3)
    assert (clv.exponents[:, 0] > 0.5).all() and (clv.exponents[:, 1] > 0.2).all()
    form = np.block([[np.zeros((2, 2)), np.eye(2)], [-np.eye(2), np.zeros((2, 2))]])
    between = np.abs(clv.vectors.swapaxes(2, 3) @ form @ clv.vectors)
    pair = np.eye(4, dtype=bool)[::-1]
    assert between[..., ~pair].max() < 1e-8 < between[..., pair].min()
    for i in range(2):
        w = between[..., i, 3 - i]
        both = clv.growth[..., i] + clv.growth[..., 3 - i]
        np.testing.assert_allclose(both[:, :-1], np.log(w[:, :-1] / w[:, 1:]), atol=1e-8)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_networks_are_covariant(activation):
    gd = small(activation)
    w0 = gd.network.init(20, seed=1)
    clv = tl.covariant_vectors(gd, w0, 600, transient=(200, 200))
    run = tl.train(gd, w0, 600, record=("weights",))
    assert clv.states.tobytes() == run.weights[:, clv.times].tobytes()
    moved, growth = carried(np.stack([gd.jacobian(clv.states[:, t]) for t in range(201)], axis=1), clv)
    assert np.abs(moved[:, :-1] - clv.vectors[:, 1:]).max() < 1e-10
    np.testing.assert_allclose(growth, clv.growth, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(clv.vectors, axis=2), 1, atol=1e-15)
    np.testing.assert_allclose(clv.exponents, clv.growth.mean(axis=1), atol=1e-12)


def test_growth_of_the_vectors_agrees_with_that_of_orthonormal_ones():
    """Over T steps they differ by the change of ln(distance of v_j from the span of the vectors before it), at most, over T."""
    gd = small()
    w0 = gd.network.init(10, seed=2)
    clv = tl.covariant_vectors(gd, w0, 1000, transient=(0, 200))
    sums = tl.finite_time_exponents(gd, w0, 1000, at=[801]).exponents[:, 0] * 801
    distance = []
    for v in (clv.vectors[:, 0], carried(gd.jacobian(clv.states[:, -1])[:, None], _last(clv))[0][:, 0]):
        distance.append(np.log(np.abs(np.diagonal(np.linalg.qr(v, mode="r"), axis1=1, axis2=2))))
    np.testing.assert_allclose(clv.exponents * 801, sums + distance[0] - distance[1], atol=1e-8)


def _last(clv):
    class Last:
        vectors = clv.vectors[:, -1:]

    return Last


def test_dead_relu_units_leave_exactly_neutral_directions():
    gd = small("relu", lr=2e-3)
    w0 = gd.network.init(8, seed=0)
    layers = gd.network.unpack(w0)
    layers.W1[:, :, 0], layers.b1[:, 0] = 0.0, -1.0
    trained = tl.train(gd, w0, 50_000, record=()).final
    h = np.linalg.eigvalsh(gd.hessian(trained))
    # where the other directions are clearly apart: all but one, which is neutral as well (the scale of the relu unit that is alive)
    trained = trained[(np.abs(h[:, :5]) < 1e-9).all(axis=1) & (h[:, 5] > 1)]
    assert len(trained) >= 4
    one = tl.covariant_vectors(gd, trained, 3000, transient=(1500, 1400))
    np.testing.assert_allclose(one.exponents[:, :5], 0, atol=1e-13)
    assert (one.exponents[:, 5:] < -1e-3).all()
    layers.W1[:, :, 1], layers.b1[:, 1] = 0.0, -1.0
    both = tl.covariant_vectors(gd, w0, 600, transient=(300, 200))
    np.testing.assert_allclose(both.exponents[:, :8], 0, atol=1e-13)
    np.testing.assert_allclose(both.exponents[:, 8], np.log(1 - 2e-3 * 50), atol=1e-13)
    assert (
        not both.converged[:, :7].any() and both.converged[:, 8].all()
    )  # directions of equal exponents are not determined


def test_a_converged_run_has_the_eigenvectors_of_its_hessian():
    gd = small(lr=5e-4, weight_decay=20.0)
    w0 = tl.train(gd, gd.network.init(12, seed=0), 60_000, record=()).final
    h, basis = np.linalg.eigh(gd.hessian(w0))
    factor = np.abs(1 - gd.lr * h)
    order = np.argsort(-factor, axis=1)
    factor, basis = np.take_along_axis(factor, order, 1), np.take_along_axis(basis, order[:, None], 2)
    apart = np.log(factor[:, :-1] / factor[:, 1:]).min(axis=1) > 0.002
    settled = np.linalg.norm(gd.gradient(w0), axis=1) < 1e-10
    some = apart & settled & (factor > 0.5).all(axis=1)
    assert some.sum() >= 4
    clv = tl.covariant_vectors(gd, w0[some], 24_000, transient=(12_000, 11_900), every=50)
    np.testing.assert_allclose(clv.exponents, np.log(factor[some]), atol=1e-8)
    assert parallel(clv.vectors, basis[some][:, None]).max() < 1e-6
    assert clv.converged.all()


def test_directions_that_are_wiped_out():
    """Of diag(2, 1, 0) the third direction vanishes in one step; the other two are none the worse."""
    clv = tl.covariant_vectors(LinearMap(np.diag([2.0, 1.0, 0.0])), np.zeros((1, 3)), 100, transient=(60, 30))
    np.testing.assert_allclose(clv.exponents[0, :2], [np.log(2), 0], atol=1e-12)
    assert parallel(clv.vectors[..., :2], np.eye(3)[:, :2]).max() < 1e-12
    decayed = tl.GradientDescent(
        tl.Perceptron(1, 1, 1, activation="relu", loss="half_squared_error"),
        tl.Task("one", x=np.array([[1.5]]), y=np.array([2.0])),
        lr=0.5,
        weight_decay=2.0,
    )
    clv = tl.covariant_vectors(decayed, np.array([[-1.0, -1.0, 1.0, 0.0]]), 40)
    assert np.isneginf(clv.exponents[0, 1:]).all() and np.isfinite(clv.exponents[0, 0])


def test_diverged_networks_are_nan_and_leave_the_others_alone():
    gd = small("relu", lr=0.015)
    w0 = gd.network.init(30, seed=0)
    clv = tl.covariant_vectors(gd, w0, 100, transient=(30, 30))
    lost = ~np.isfinite(clv.states).all(axis=(1, 2))
    assert 0 < lost.sum() < 30
    assert np.isnan(clv.exponents[lost]).any(axis=1).all() and not clv.converged[lost].any(axis=1).all()
    alone = tl.covariant_vectors(gd, w0[~lost], 100, transient=(30, 30))
    assert alone.vectors.tobytes() == clv.vectors[~lost].tobytes()


def same_bits(a, b):
    names = ("vectors", "growth", "exponents", "states", "discrepancy")
    return all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in names)


@pytest.mark.parametrize("options", [{"checkpoint": 1}, {"checkpoint": 7}, {"checkpoint": 64}, {"memory": 20_000}])
@pytest.mark.parametrize("system", ["network", "henon"])
def test_pieces_change_no_bit(options, system):
    gd = small() if system == "network" else HenonMap()
    w0 = small().network.init(20, seed=3) if system == "network" else np.full((2, 2), [[0.1, 0.1], [0.2, 0.0]])
    whole = tl.covariant_vectors(gd, w0, 301, transient=(100, 50))
    assert same_bits(tl.covariant_vectors(gd, w0, 301, transient=(100, 50), **options), whole)


@pytest.mark.parametrize("options", [{}, {"checkpoint": 30}, {"memory": 20_000}])
def test_reported_times_change_no_bit(options):
    gd = small()
    w0 = gd.network.init(9, seed=3)
    whole = tl.covariant_vectors(gd, w0, 301, transient=(100, 51))
    some = tl.covariant_vectors(gd, w0, 301, transient=(100, 51), every=10, **options)
    assert some.times.tolist() == list(range(100, 251, 10))
    assert some.vectors.tobytes() == whole.vectors[:, ::10].tobytes()
    assert some.growth.tobytes() == whole.growth[:, ::10].tobytes()
    assert some.states.tobytes() == whole.states[:, ::10].tobytes()
    assert some.exponents.tobytes() == whole.exponents.tobytes()


@pytest.mark.parametrize("size", [1, 3, 8, 13])
def test_bits_do_not_depend_on_batch_and_threads(size):
    rates = np.linspace(5e-4, 2e-3, 29)
    w0 = small().network.init(29, seed=4)
    whole = tl.covariant_vectors(small(lr=rates), w0, 120, transient=(40, 30), threads=1)
    for first in range(0, 29, size):
        part = slice(first, first + size)
        got = tl.covariant_vectors(small(lr=rates[part]), w0[part], 120, transient=(40, 30), threads=3)
        for name in ("vectors", "growth", "exponents", "states", "discrepancy"):
            assert getattr(got, name).tobytes() == getattr(whole, name)[part].tobytes()


DIGEST = """
import hashlib, numpy as np, trajlib as tl
x = (np.arange(40) % 7 - 3.0).reshape(20, 2) / 2
task = tl.Task("grid", x=x, y=x[:, 0] * x[:, 1])
net = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error")
gd = tl.GradientDescent(net, task, lr=0.01)
w0 = (np.arange(45) % 11 - 5.0).reshape(5, 9) / 4
clv = tl.covariant_vectors(gd, w0, 200, transient=(50, 50))
run = tl.finite_time_exponents(gd, w0, 200, at=[3, 200], singular_values=True)
whole = b"".join(a.tobytes() for a in (clv.vectors, clv.growth, clv.exponents, run.exponents, run.singular_exponents))
digest = hashlib.sha256(whole).hexdigest()
"""


@pytest.mark.slow
@pytest.mark.parametrize("processor", machine_code.WIDEST)
def test_bits_do_not_depend_on_the_machine_code(processor, tmp_path):
    here: dict = {}
    exec(DIGEST, here)
    assert machine_code.printed_on(processor, DIGEST + "print(digest)", tmp_path) == here["digest"]
    assert len(here["digest"]) == len(hashlib.sha256().hexdigest())


def test_the_sign_is_that_of_the_largest_entry_at_the_first_time():
    clv = tl.covariant_vectors(small(), small().network.init(4, seed=0), 60, transient=(20, 20))
    first = clv.vectors[:, 0]
    assert (np.take_along_axis(first, np.abs(first).argmax(axis=1)[:, None], 1) > 0).all()


def test_what_has_not_converged_says_so():
    gd = small()
    w0 = gd.network.init(3, seed=0)
    no_forward = tl.covariant_vectors(gd, w0, 60, transient=(0, 30))
    assert not no_forward.converged[:, :8].any() and (no_forward.discrepancy[:, 0, :8] > 1e-2).all()
    no_backward = tl.covariant_vectors(HenonMap(), np.array([[0.1, 0.1]]), 200, transient=(100, 0))
    assert no_backward.converged.tolist() == [[True, False]]
    assert no_backward.times[-1] == 200 and np.isfinite(no_backward.growth).all()


def test_small_angles_keep_their_digits():
    for angle in (1e-12, 1e-8, 0.3, np.pi / 2):
        v = np.array([[1.0, -np.cos(angle)], [0.0, np.sin(angle)]])
        assert tl.pair_angles(v)[0, 1] == tl.pair_angles(v)[1, 0] == pytest.approx(angle, rel=1e-9)
    with pytest.raises(ValueError, match="shape"):
        tl.pair_angles(np.ones(3))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be an integer >= 1, got 0"),
        ({"transient": (60, 60)}, ValueError, "at least the sum of both transients, 120, got 100"),
        ({"transient": 60}, TypeError, "two numbers of steps, .forward, backward., got 60"),
        ({"transient": (10, -1)}, ValueError, "transient must be an integer >= 0, got -1"),
        ({"k": 3}, ValueError, "k must be at most the number of parameters, 2, got 3"),
        ({"every": 0}, ValueError, "every must be"),
        ({"every": 4, "checkpoint": 6}, ValueError, "multiple of every = 4, got 6"),
        ({"tolerance": 0.0}, ValueError, "tolerance must be a positive"),
        ({"vectors": np.ones((1, 2, 2))}, ValueError, "linearly independent"),
        ({"w0": np.zeros(2)}, ValueError, "w0 must have shape"),
        ({"w0": np.full((1, 2), np.nan)}, ValueError, "w0 must be finite"),
        ({"w0": np.zeros((1, 2), np.float32)}, TypeError, "w0 must be float64"),
        ({"gd": lambda w: w}, TypeError, "must have a jacobian"),
        ({"threads": 0}, ValueError, "threads must be"),
    ],
)
def test_bad_input(options, error, message):
    call = {"gd": HenonMap(), "w0": np.full((1, 2), 0.1), "steps": 100} | options
    with pytest.raises(error, match=message):
        tl.covariant_vectors(**call)


def test_what_cannot_fit_says_so():
    with pytest.raises(MemoryError, match="every="):
        tl.covariant_vectors(small(), small().network.init(1000, seed=0), 100_000_000)
