"""Scalar embedding: against principal components and double-centred distances, its invariants, close pairs, bad input."""

import math
from itertools import pairwise

import numpy as np
import pytest
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from trajlib.embedding import scaling as embedding
from trajlib.embedding.scaling import Embedding, embed_copies, scalar_embedding

DENSE = ("svd", "gram", "krylov")


def trajectories(copies=4, times=40, parameters=300, seed=0, noise=0.05):
    """A curved common drift from random weights, and copies that leave it at a growing rate; (copies, times, parameters)."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, times)[:, None]
    shape = t, np.sin(4 * t), np.cos(9 * t)
    drift = sum(c * s * rng.standard_normal(parameters) for c, s in zip((1, 0.4, 0.2), shape, strict=True))
    walk = np.cumsum(rng.standard_normal((copies, times, parameters)), axis=1) / np.sqrt(times)
    return rng.standard_normal(parameters) + drift + noise * t**2 * walk


def distances(x):
    x = x.reshape(-1, x.shape[-1])
    return np.sqrt(np.mean((x[:, None] - x[None]) ** 2, axis=-1))


def classical_scaling(x, k):
    """The textbook: B = -1/2 H D² H, eigenvectors times roots of eigenvalues; and all eigenvalues, decreasing."""
    d2 = distances(x) ** 2
    h = np.eye(len(d2)) - 1 / len(d2)
    values, vectors = np.linalg.eigh(-0.5 * h @ d2 @ h)
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, : -k - 1 : -1], values[::-1]


def aligned(a, b):
    """Columns of b with the signs of those of a."""
    return b * np.sign((a * b).sum(axis=0))


@pytest.mark.parametrize("method", embedding.METHODS)
@pytest.mark.parametrize("shape", [(4, 40, 300), (1, 30, 31), (3, 50, 20), (2, 100, 7)])
def test_agrees_with_classical_scaling_of_the_distances(method, shape):
    x = trajectories(*shape)
    e = scalar_embedding(x, 3, method=method)
    want, values = classical_scaling(x, 3)
    got = e.coordinates.reshape(-1, 3)
    np.testing.assert_allclose(got, aligned(got, want), rtol=0, atol=1e-11)
    np.testing.assert_allclose(e.explained_variance, values[:3] / values.sum(), rtol=1e-10)
    assert e.coordinates.shape == (*shape[:-1], 3)
    n = shape[0] * shape[1]
    np.testing.assert_allclose(e.total_variance, (distances(x) ** 2).sum() / (2 * n * n), rtol=1e-12)


@pytest.mark.parametrize("method", DENSE)
def test_agrees_with_scikit_learn(method):
    x = trajectories(5, 60, 400).reshape(-1, 400)
    pca = PCA(n_components=5, svd_solver="full").fit(x)
    e = scalar_embedding(x, 5, method=method)
    want = pca.transform(x) / np.sqrt(400)
    np.testing.assert_allclose(e.coordinates, aligned(e.coordinates, want), rtol=0, atol=1e-12)
    np.testing.assert_allclose(e.components.T, aligned(e.components.T, pca.components_.T), rtol=0, atol=1e-9)
    np.testing.assert_allclose(e.explained_variance, pca.explained_variance_ratio_, rtol=1e-11)
    np.testing.assert_allclose(e.mean, pca.mean_, rtol=0, atol=1e-14)


def test_agrees_with_classical_mds_of_scikit_learn():
    manifold = pytest.importorskip("sklearn.manifold")
    if not hasattr(manifold, "ClassicalMDS"):
        pytest.skip("this scikit-learn has no classical scaling")
    x = trajectories(2, 40, 50).reshape(-1, 50)
    want = manifold.ClassicalMDS(n_components=2, metric="precomputed").fit_transform(distances(x))
    got = scalar_embedding(x, 2).coordinates
    np.testing.assert_allclose(got, aligned(got, want), rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("method", DENSE)
def test_never_stretches(method, k):
    x = trajectories(noise=0.5)
    e = scalar_embedding(x, k, method=method)
    z = e.coordinates.reshape(-1, k)
    embedded = np.linalg.norm(z[:, None] - z[None], axis=-1)
    assert (embedded <= distances(x) * (1 + 1e-12) + 1e-14).all()
    assert embedded.max() > 0.5 * distances(x).max()
    np.testing.assert_allclose(e.components @ e.components.T, np.eye(k), atol=1e-13)
    assert abs(z.mean(axis=0)).max() < 1e-14 and 0 < e.explained_variance.sum() <= 1


def test_a_straight_line_is_embedded_isometrically():
    direction = np.random.default_rng(0).standard_normal(83)
    x = np.linspace(-1, 2, 50)[:, None] * direction
    e = scalar_embedding(x)
    z = e.coordinates[:, 0]
    np.testing.assert_allclose(np.abs(z[:, None] - z), distances(x), atol=1e-13)
    np.testing.assert_allclose(e.explained_variance, 1, rtol=1e-14)


@pytest.mark.parametrize("method", DENSE)
def test_sign_and_order_of_the_snapshots(method):
    x = trajectories().reshape(-1, 300)
    e = scalar_embedding(x, 3, method=method)
    top = np.abs(e.components).argmax(axis=1)
    assert (e.components[range(3), top] > 0).all()
    order = np.random.default_rng(1).permutation(len(x))
    shuffled = scalar_embedding(x[order], 3, method=method)
    np.testing.assert_allclose(shuffled.coordinates, e.coordinates[order], atol=1e-12)
    np.testing.assert_allclose(shuffled.components, e.components, atol=1e-11)


def test_ties_in_the_sign_go_to_the_first_entry():
    x = np.array([[0.0, 0.0], [1.0, -1.0], [2.0, -2.0]])
    for order in ([0, 1, 2], [2, 0, 1]):
        assert scalar_embedding(x[order]).components[0] == pytest.approx([0.5**0.5, -(0.5**0.5)])


def test_direction_can_be_chosen():
    x = trajectories()
    towards = x[0, -1] - x[0, 0]
    up, down = scalar_embedding(x, towards=towards), scalar_embedding(x, towards=-towards)
    assert up.coordinates[0, -1, 0] > up.coordinates[0, 0, 0]
    np.testing.assert_array_equal(up.coordinates, -down.coordinates)


def test_new_points_and_old_ones():
    x = trajectories(6)
    e = scalar_embedding(x[:4], 2)
    np.testing.assert_allclose(e.project(x[:4]), e.coordinates, atol=1e-14)
    np.testing.assert_allclose(e.project(x[2, 7]), e.coordinates[2, 7], atol=1e-14)
    want = (x[4:] - e.mean) @ e.components.T / np.sqrt(300)
    np.testing.assert_allclose(e.project(x[4:]), want, atol=1e-14)
    assert np.isnan(e.project(np.full(300, np.nan))).all()


@pytest.mark.parametrize("block", [1, 1000, 2**20])
def test_blocks_do_not_matter(block, monkeypatch):
    x = trajectories()
    want = scalar_embedding(x, 2, method="svd")
    monkeypatch.setattr(embedding, "BLOCK", block)
    monkeypatch.setattr(embedding, "WIDE", block)
    for method in ("gram", "krylov"):
        got = scalar_embedding(x, 2, method=method)
        np.testing.assert_allclose(got.coordinates, want.coordinates, atol=1e-12)
    apart = np.linalg.norm(want.project(x) - want.project(x[0]), axis=-1)
    np.testing.assert_allclose(want.project_difference(x, x[0]), apart, atol=1e-14)


@pytest.mark.parametrize("size", [1e-8, 1e-11])
def test_close_pairs_keep_their_digits(size):
    """Against exact arithmetic on the same weights; the difference of two coordinates, and of Gram entries, is worse."""
    x = trajectories(2, 30, 5000, noise=0.2)
    e = scalar_embedding(x)
    rng = np.random.default_rng(3)
    a = x[0, 10:20]
    b = a + size * rng.standard_normal(a.shape)
    c = e.components[0]
    exact = [abs(math.fsum((p - q) * c)) / math.sqrt(5000) for p, q in zip(a, b, strict=True)]
    got = e.project_difference(a, b)
    np.testing.assert_allclose(got, exact, rtol=1e-6)
    error = np.abs(got / exact - 1).max()
    coordinates = np.abs(np.abs(e.project(a) - e.project(b))[:, 0] / exact - 1).max()
    assert error < 1e-11 and error < coordinates / 10
    assert (got <= np.sqrt(np.mean((a - b) ** 2, axis=-1))).all()


def test_pairs_broadcast():
    x = trajectories()
    e = scalar_embedding(x, 2)
    d = e.project_difference(x[1:], x[0])
    assert d.shape == (3, 40)
    assert d[1, 5] == pytest.approx(np.linalg.norm(e.coordinates[2, 5] - e.coordinates[0, 5]))
    assert e.project_difference(x[0, 0], x[0, 0]) == 0


def test_a_large_offset_costs_no_digits():
    x = trajectories(noise=0.2)
    shifted = np.round(x * 2**20) / 2**20  # representable with the offset
    for method in DENSE:
        a, b = (scalar_embedding(y, method=method) for y in (shifted, shifted + 2.0**30))
        np.testing.assert_allclose(a.coordinates, b.coordinates, atol=1e-6)
        assert a.explained_variance == pytest.approx(b.explained_variance, rel=1e-10)


def test_the_input_is_left_alone_and_may_be_laid_out_otherwise(tmp_path):
    x = trajectories()
    before = x.copy()
    want = scalar_embedding(x, method="krylov")
    np.testing.assert_array_equal(x, before)
    file = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=x.shape)
    file[:] = x
    for y in (file, np.asfortranarray(x), np.moveaxis(np.moveaxis(x, 0, 2).copy(), 2, 0)):
        y.flags.writeable = False
        got = scalar_embedding(y, method="krylov")
        assert type(got.coordinates) is np.ndarray and isinstance(got, Embedding)
        np.testing.assert_allclose(got.coordinates, want.coordinates, atol=1e-13)


def test_method_follows_the_size_and_convergence(monkeypatch):
    x = trajectories()
    assert scalar_embedding(x).method == "svd"
    monkeypatch.setattr(embedding, "SMALL", (1, 1.0))
    e = scalar_embedding(x)
    assert e.method == "krylov"
    assert np.abs(scalar_embedding(x, seed=5).coordinates - e.coordinates).max() < 1e-13
    cloud = np.random.default_rng(0).standard_normal((600, 800))  # no gap: the dense method has to take over
    monkeypatch.setattr(embedding, "PASSES", 4)
    e = scalar_embedding(cloud)
    assert e.method == "gram"
    want = scalar_embedding(cloud, method="svd")
    np.testing.assert_allclose(e.explained_variance, want.explained_variance, rtol=1e-11)


@pytest.mark.parametrize("method", DENSE)
def test_more_dimensions_than_directions(method):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 300))
    assert scalar_embedding(x, 2, method=method).explained_variance.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="k must be at most 2, the directions that stand out from rounding, got 3"):
        scalar_embedding(x, 3, method=method)


def test_explained_variance_decreases_and_adds_up():
    x = trajectories(3, 10, 12)
    share = scalar_embedding(x, 12).explained_variance
    assert all(a >= b for a, b in pairwise(share)) and share.sum() == pytest.approx(1, abs=1e-12)


BAD = {
    "list": ([[1.0], [2.0]], {}, TypeError, "snapshots must be a numpy array of float64, got list"),
    "float32": (np.zeros((3, 4), np.float32), {}, TypeError, "snapshots must be float64, got float32"),
    "one axis": (np.zeros(4), {}, ValueError, r"snapshots must have shape \(..., parameters\)"),
    "no parameters": (np.zeros((4, 0)), {}, ValueError, "at least one of each"),
    "one snapshot": (np.zeros((1, 4)), {}, ValueError, "at least two states"),
    "equal": (np.full((5, 4), 0.1), {}, ValueError, "must not all be equal"),
    "nan": (np.array([[0.0, 1.0], [np.nan, 2.0]]), {}, ValueError, "must be finite, got nan"),
    "inf": (np.array([[0.0, 1.0], [np.inf, 2.0]]), {}, ValueError, "must be finite, got inf"),
    "masked": (
        np.ma.masked_less(np.eye(4), 1),
        {},
        TypeError,
        "snapshots must be a plain numpy array, got MaskedArray",
    ),
    "matrix": (np.eye(4).view(np.matrix), {}, TypeError, "snapshots must be a plain numpy array, got matrix"),
    "towards nan": (np.eye(4), {"towards": np.full(4, np.nan)}, ValueError, "towards must be finite"),
    "k zero": (np.eye(4), {"k": 0}, ValueError, "k must be an integer >= 1"),
    "k float": (np.eye(4), {"k": 1.0}, TypeError, "k must be an integer"),
    "k large": (np.eye(4), {"k": 4}, ValueError, "k must be at most 3 for 4 snapshots of 4 parameters, got 4"),
    "method": (np.eye(4), {"method": "smacof"}, ValueError, "method must be one of"),
    "towards": (np.eye(4), {"towards": np.ones(3)}, ValueError, "towards must have shape"),
    "seed": (np.eye(4), {"seed": -1}, ValueError, "seed must be an integer >= 0"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad_input(case):
    snapshots, options, error, match = case
    with pytest.raises(error, match=match):
        scalar_embedding(snapshots, **options)


def test_bad_points():
    e = scalar_embedding(np.eye(4))
    with pytest.raises(ValueError, match=r"points must have shape \(..., 4\)"):
        e.project(np.zeros(3))
    with pytest.raises(TypeError, match="b must be float64"):
        e.project_difference(np.zeros(4), np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="a and b must broadcast"):
        e.project_difference(np.zeros((2, 4)), np.zeros((3, 4)))


@pytest.mark.parametrize("k", [1, 3])
def test_copies_are_embedded_with_their_reference_and_followed(k):
    x = np.stack([trajectories(4, 50, 60, seed=s) for s in range(3)])
    got = embed_copies(x, k, progress=False)
    for i, own in enumerate(x):
        e = scalar_embedding(own, k)
        np.testing.assert_array_equal(got.coordinates[i], e.coordinates)
        np.testing.assert_array_equal(got.explained_variance[i], e.explained_variance)
        np.testing.assert_allclose(got.separation[i], e.coordinates[1:] - e.coordinates[0], rtol=0, atol=1e-13)
        np.testing.assert_allclose(got.rms_distance[i], np.sqrt(np.mean((own[1:] - own[0]) ** 2, axis=-1)), rtol=1e-13)
        np.testing.assert_allclose(
            np.linalg.norm(got.separation[i], axis=-1), e.project_difference(own[1:], own[0]), rtol=1e-12, atol=1e-18
        )
    assert (np.linalg.norm(got.separation, axis=-1) <= got.rms_distance * (1 + 1e-12)).all()


def test_copies_with_fewer_directions_than_asked_for():
    line = np.linspace(0, 1, 20)[:, None] * np.arange(1.0, 6.0)
    got = embed_copies(np.stack([line, line + np.ones(5)])[None], k=3, progress=False)  # a plane
    assert np.isfinite(got.explained_variance[0]).tolist() == [True, True, False]
    assert np.isnan(got.separation[..., 2]).all() and np.isfinite(got.separation[..., :2]).all()


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 4, 5), (0, 2, 4, 5)])
def test_copies_of_the_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"snapshots must have shape \(n, 1 \+ copies, times, parameters\)"):
        embed_copies(np.zeros(shape))


def frozen(x):
    return np.broadcast_to(x[:1, :1], x.shape)


def one_entry(value):
    def spoil(x):
        x = x.copy()
        x[2, 7, 3] = value
        return x

    return spoil


@pytest.mark.parametrize("method", embedding.METHODS)
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (frozen, "all equal"),
        (lambda x: x * 0.0, "all equal"),
        (lambda x: x * np.nan, "not finite"),
        (one_entry(np.nan), "not finite"),
        (one_entry(np.inf), "not finite"),
        (one_entry(-np.inf), "not finite"),
    ],
)
def test_a_network_that_cannot_be_embedded_leaves_the_others_alone(spoil, reason, method):
    x = np.stack([trajectories(4, 50, 60, seed=s) for s in range(4)])
    bad = x.copy()
    bad[0], bad[2] = spoil(x[0]), spoil(x[2])
    whole, got = (embed_copies(y, 2, method=method, progress=False) for y in (x, bad))
    assert got.reason.tolist() == [reason, "", reason, ""] and whole.reason.tolist() == [""] * 4
    for name in ("coordinates", "separation", "rms_distance", "explained_variance"):
        np.testing.assert_array_equal(getattr(got, name)[[1, 3]], getattr(whole, name)[[1, 3]], err_msg=name)
        if name != "rms_distance":
            assert np.isnan(getattr(got, name)[[0, 2]]).all()
    if reason == "all equal":
        assert (got.rms_distance[[0, 2]] == 0).all()
    elif np.isfinite(spoil(x[0])).sum() == x[0].size - 1:  # one state of copy 2: the distances of all others are known
        broken = ~np.isfinite(got.rms_distance[[0, 2]])
        assert broken.sum() == 2 and broken[:, 1, 7].all()
        np.testing.assert_array_equal(got.rms_distance[[0, 2]][~broken], whole.rms_distance[[0, 2]][~broken])


def test_no_network_at_all_can_be_embedded():
    """A result does not depend on the batch: one alone says the same."""
    assert embed_copies(np.ones((1, 3, 4, 5)), progress=False).reason.tolist() == ["all equal"]
    with pytest.raises(ValueError, match="k must be at most 5 for 12 snapshots"):
        embed_copies(np.ones((1, 3, 4, 5)), k=6)


@pytest.mark.parametrize("shape", [(2, 3, 201, 602), (1, 2, 101, 4000)])
def test_no_bit_depends_on_the_threads_of_blas(shape):
    x = np.cumsum(np.random.default_rng(0).standard_normal(shape), axis=2)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            e = embed_copies(x, k=2)
        found.append((e.coordinates.tobytes(), e.separation.tobytes(), e.explained_variance.tobytes()))
    assert found[0] == found[1]
