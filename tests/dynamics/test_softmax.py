"""The reduced map: against plain Python, against closed forms, and as a map of the library like any other."""

import numpy as np
import pytest
import specification
from scipy.special import log_softmax, softmax

import trajlib as tl

P = np.array([39.0, 40.0, 41.0]) / 120
PS = np.array([[39.0, 40.0, 41.0], [42.0, 38.0, 40.0], [30.0, 30.0, 60.0], [50.0, 40.0, 30.0]]) / 120


def test_step_loss_gradient_hessian_jacobian():
    reduced = tl.SoftmaxMap(7.0, P)
    s = reduced.init(5, seed=0, scale=3.0)
    q = softmax(s, axis=-1)
    np.testing.assert_allclose(reduced(s), s - 7.0 * (q - P), atol=1e-14)
    np.testing.assert_allclose(reduced.loss(s), -(P * log_softmax(s, axis=-1)).sum(axis=-1), rtol=1e-14)
    np.testing.assert_allclose(reduced.gradient(s), q - P, atol=1e-15)
    step = 1e-6 * np.eye(3)
    jacobian = np.stack([(reduced(s + e) - reduced(s - e)) / 2e-6 for e in step], axis=-1)
    np.testing.assert_allclose(reduced.jacobian(s), jacobian, atol=1e-8)
    np.testing.assert_allclose(reduced.jacobian(s), np.eye(3) - 7.0 * reduced.hessian(s), atol=1e-15)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("kappa", [0.3, 10.0, 31.7])
def test_bits_are_those_of_the_specification(kappa, classes):
    p = np.arange(1.0, classes + 1) / (classes * (classes + 1) / 2)
    reduced = tl.SoftmaxMap(kappa, p)
    s = reduced.init(11, seed=1)
    final = tl.train(reduced, s, 500).final
    rest = ([[]], [p.tolist()], (0, 0, classes), "sigmoid", "cross_entropy", 0.0)
    for i in (0, 7, 8, 10):
        assert final[i].tolist() == specification.descend(s[i].tolist(), 500, kappa, *rest)


def test_bits_do_not_depend_on_batch_threads_or_how_it_is_iterated():
    reduced = tl.SoftmaxMap(10.0, P)
    s = reduced.init(37, seed=2)
    run = tl.train(reduced, s, 300, record=("loss", "weights"), threads=1)
    np.testing.assert_array_equal(tl.train(reduced, s, 300, threads=2).final, run.final)
    np.testing.assert_array_equal(tl.train(reduced, s[20:21], 300).final, run.final[20:21])
    np.testing.assert_array_equal(reduced(run.weights[:, :-1]), run.weights[:, 1:])
    np.testing.assert_array_equal(reduced.loss(run.weights), run.loss)


def test_each_state_has_its_own_kappa_and_proportions():
    kappa = np.array([3.0, 10.0, 15.0, 22.0])
    many = tl.SoftmaxMap(kappa, PS)
    s = many.init(4, seed=3)
    both = tl.train(many, s, 200, record=("loss", "weights"))
    for i in range(4):
        one = tl.SoftmaxMap(float(kappa[i]), PS[i])
        np.testing.assert_array_equal(tl.train(one, s[i : i + 1], 200).final[0], both.final[i])
        np.testing.assert_array_equal(one(s[i]), many(s)[i])
        np.testing.assert_allclose(one.jacobian(s[i]), many.jacobian(s)[i], atol=1e-15)
    more = tl.SoftmaxMap(np.tile(kappa, 10), np.tile(PS, (10, 1)))
    run = tl.train(more, np.tile(s, (10, 1)), 200, threads=2)
    np.testing.assert_array_equal(run.final, np.tile(both.final, (10, 1)))


def test_own_proportions_reach_copies_and_tangent_vectors():
    """Few states with many copies are laid out otherwise than many with few."""
    for n in (4, 40):
        kappa, p = np.resize([3.0, 10.0, 15.0, 22.0], n), np.resize(PS, (n, 3))
        many = tl.SoftmaxMap(kappa, p)
        s = many.init(n, seed=4)
        div = tl.diverge(many, s, radius=1e-6, copies=20, steps=30, seed=0)
        expected = tl.train(many, s, 30)
        np.testing.assert_array_equal(div.final, expected.final)
        np.testing.assert_array_equal(div.loss, expected.loss)
        for j in (0, 19):
            copies = tl.perturb(many, s, radius=1e-6, copies=20, seed=0)[:, j]
            np.testing.assert_array_equal(div.final_copies[:, j], tl.train(many, copies, 30).final)
        vectors = np.random.default_rng(0).normal(size=(n, 2, 3))
        carried = tl.tangent(many, s, vectors, 1).vectors
        np.testing.assert_allclose(carried, np.einsum("nij,nkj->nki", many.jacobian(s), vectors), atol=1e-12)


def test_torch_engine_agrees():
    pytest.importorskip("torch")
    many = tl.SoftmaxMap(np.array([1.0, 2.0, 3.0, 5.0]), PS)
    s = many.init(4, seed=5)
    ours, theirs = (
        tl.diverge(many, s, radius=1e-3, copies=3, steps=50, seed=1, engine=engine) for engine in ("cpu", "torch")
    )
    np.testing.assert_allclose(theirs.loss, ours.loss, rtol=1e-10)
    np.testing.assert_allclose(theirs.final_copies, ours.final_copies, atol=1e-10)
    shared = tl.SoftmaxMap(1.0, P)
    np.testing.assert_allclose(
        tl.train(shared, s, 50, engine="torch").loss, tl.train(shared, s, 50, engine="cpu").loss, rtol=1e-10
    )


def test_sum_of_the_logits_is_conserved():
    reduced = tl.SoftmaxMap(15.0, P)
    s = reduced.init(50, seed=6)
    assert np.abs(tl.train(reduced, s, 5000).final.sum(axis=1)).max() < 1e-10


@pytest.mark.parametrize("p", PS)
def test_fixed_point(p):
    """At the entropy of p, with eigenvalues 1 - kappa eig(diag(p) - p p^T): stable below the critical kappa, unstable above."""
    reduced = tl.SoftmaxMap(1.0, p)
    np.testing.assert_allclose(reduced(reduced.fixed_point), reduced.fixed_point, atol=1e-15)
    np.testing.assert_allclose(reduced.loss(reduced.fixed_point), reduced.entropy, rtol=1e-14)
    for factor in (0.4, 0.97):
        below = tl.SoftmaxMap(factor * float(reduced.critical_kappa), p)
        final = tl.train(below, below.init(20, seed=7), 2000).final
        np.testing.assert_allclose(final, np.tile(reduced.fixed_point, (20, 1)), atol=1e-9)
        matrix = np.diag(p) - np.outer(p, p)
        expected = np.log(np.abs(1 - below.kappa * np.linalg.eigvalsh(matrix)[1:]))
        found = tl.map_exponents(below, below.fixed_point[None], 2000, transient=500)[0]
        np.testing.assert_allclose(found, -np.sort(-expected), atol=1e-3)
    above = tl.SoftmaxMap(1.03 * float(reduced.critical_kappa), p)
    left = tl.train(above, above.fixed_point + above.init(20, seed=8, scale=1e-6), 2000).final
    assert np.abs(left - above.fixed_point).max(axis=1).min() > 1e-2


def test_two_classes_in_equal_proportion():
    """K = 2, p = 1/2: u = s_0 - s_1 moves by u - kappa tanh(u / 2); critical at 4, then period 2 with kappa tanh(u / 2) = 2 u."""
    reduced = tl.SoftmaxMap(5.0, np.array([0.5, 0.5]))
    assert float(reduced.critical_kappa) == pytest.approx(4.0)
    final = tl.train(reduced, reduced.init(20, seed=9), 2000).final
    u = np.abs(final[:, 0] - final[:, 1])
    np.testing.assert_allclose(5.0 * np.tanh(u / 2), 2 * u, rtol=1e-12)
    slope = 1 - 2.5 / np.cosh(u[0] / 2) ** 2
    np.testing.assert_allclose(
        tl.map_exponents(reduced, final, 400, transient=200)[:, 0], np.log(abs(slope)), atol=1e-6
    )


def test_exponents_are_the_spectrum_less_the_neutral_one():
    reduced = tl.SoftmaxMap(10.0, P)
    s = tl.train(reduced, reduced.init(10, seed=10), 500).final
    spectrum = tl.lyapunov_spectrum(reduced, s, 2000, blocks=4).exponents
    own = tl.map_exponents(reduced, s, 2000)
    np.testing.assert_allclose(own.sum(axis=1), spectrum.sum(axis=1), atol=2e-3)
    assert (np.abs(spectrum).min(axis=1) < 2e-3).all()


def test_records_that_need_a_network_are_refused():
    reduced = tl.SoftmaxMap(10.0, P)
    s = reduced.init(2, seed=0)
    assert tl.train(reduced, s, 3, record=("gradient_norm", "norm")).gradient_norm.shape == (2, 4)
    with pytest.raises(ValueError, match="needs a network and its task, and SoftmaxMap has none"):
        tl.train(reduced, s, 3, record=("accuracy",))


@pytest.mark.parametrize(
    ("kappa", "p", "error", "message"),
    [
        (0.0, P, ValueError, "kappa must be a positive finite number"),
        (np.array([1.0, -1.0]), P, ValueError, "kappa must be a positive finite number"),
        ("5", P, TypeError, "kappa must be a positive finite number"),
        (5.0, [0.5, 0.5], TypeError, "p must be a numpy array"),
        (5.0, np.array([0.5, 0.6]), ValueError, "class proportions"),
        (5.0, np.array([1.5, -0.5]), ValueError, "class proportions"),
        (5.0, np.array([1.0]), ValueError, "K >= 2"),
        (5.0, np.array([40, 40, 40]), TypeError, "float64"),
        (5.0, np.array([np.nan, 1.0]), ValueError, "finite"),
    ],
)
def test_bad_parameters(kappa, p, error, message):
    with pytest.raises(error, match=message):
        tl.SoftmaxMap(kappa, p)


def test_parameters_for_other_states_are_refused():
    with pytest.raises(ValueError, match="kappa must be one number or one a network"):
        tl.train(tl.SoftmaxMap(np.array([1.0, 2.0]), P), np.zeros((3, 3)), 1)
    with pytest.raises(ValueError, match="p must be one set of proportions or one a network"):
        tl.train(tl.SoftmaxMap(1.0, PS), np.zeros((3, 3)), 1)
    with pytest.raises(ValueError, match=r"w0 must have shape \(n, 3\)"):
        tl.train(tl.SoftmaxMap(1.0, P), np.zeros((3, 4)), 1)


def test_a_class_without_samples():
    """Its logit falls for ever, more and more slowly; nothing breaks."""
    reduced = tl.SoftmaxMap(1.0, np.array([0.5, 0.5, 0.0]))
    run = tl.train(reduced, reduced.init(4, seed=0), 1000)
    assert np.isfinite(run.final).all() and (run.loss[:, -1] > reduced.entropy).all()
    assert np.isinf(reduced.fixed_point[-1])
