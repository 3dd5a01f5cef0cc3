"""Maps of the user's own, compiled: against a plain NumPy loop, closed forms, and themselves in other batches and stretches."""

import numba
import numpy as np
import pytest

from trajlib.engines.fused.lanes import LANES
from trajlib.engines.generic.compiled import CompiledRun, Functions, _build, compiles

GOLDEN = np.log((3 + np.sqrt(5)) / 2)


@numba.njit
def henon(x):
    return np.array([1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]])


@numba.njit
def henon_jacobian(x):
    j = np.zeros((2, 2))
    j[0, 0], j[0, 1], j[1, 0] = -2.8 * x[0], 1.0, 0.3
    return j


@numba.njit
def henon_jvp(x, v):
    out = np.empty_like(v)
    for i in range(len(v)):
        out[i, 0] = -2.8 * x[0] * v[i, 0] + v[i, 1]
        out[i, 1] = 0.3 * v[i, 0]
    return out


@numba.njit
def driven(x, t):
    """A ring of maps, pushed by something that depends on time."""
    n = len(x)
    y = np.empty(n)
    for i in range(n):
        y[i] = 0.8 * np.sin(3.0 * x[i] + 0.1 * t) + 0.3 * x[i - 1] * x[i - 2]
    return y


@numba.njit
def driven_jacobian(x, t):
    n = len(x)
    j = np.zeros((n, n))
    for i in range(n):
        j[i, i] += 2.4 * np.cos(3.0 * x[i] + 0.1 * t)
        j[i, i - 1] += 0.3 * x[i - 2]
        j[i, i - 2] += 0.3 * x[i - 1]
    return j


@numba.njit
def driven_jvp(x, v, t):
    return v @ driven_jacobian(x, t).T


HENON = Functions(henon, henon_jacobian, "jacobian", (False, False))
MAPS = {
    "henon": (HENON, 2),
    "henon_jvp": (Functions(henon, henon_jvp, "jvp", (False, False)), 2),
    "driven": (Functions(driven, driven_jacobian, "jacobian", (True, True)), 11),
    "driven_jvp": (Functions(driven, driven_jvp, "jvp", (True, True)), 11),
}


def linear(matrix):
    """The map x -> A x."""

    @numba.njit
    def step(x):
        y = np.zeros(len(x))
        for i in range(len(x)):
            for j in range(len(x)):
                y[i] += matrix[i, j] * x[j]
        return y

    @numba.njit
    def jacobian(x):
        return matrix.copy()

    return Functions(step, jacobian, "jacobian", (False, False))


def run(functions, w, copies, steps, *, cuts=(), threads=2, **options):
    """A whole run, in pieces."""
    options = {"every": 1, "record": ()} | options
    one = CompiledRun(functions, w, copies, steps=steps, threads=threads, **options)
    for start, stop in zip((0, *cuts), (*cuts, steps), strict=True):
        one.advance(start, stop, stop == steps)
    return one.results()


def setting(name, n, m, seed=0):
    """Functions, states (n, p) and m tangent vectors each."""
    functions, p = MAPS[name]
    rng = np.random.default_rng(seed)
    return functions, rng.uniform(-0.1, 0.1, (n, p)), rng.standard_normal((n, min(m, p), p))


def plain(functions, w, v, steps, interval, start=0):
    """The same by NumPy for one trajectory: states (steps + 1, p), vectors (steps + 1, k, p), R of each orthonormalisation."""
    step, derivative, kind, timed = functions

    def qr(rows):
        q, r = np.linalg.qr(rows.T)
        sign = np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return (q * sign).T, r * sign[:, None]

    v = qr(v)[0] if interval else v
    states, vectors, triangles = [w], [v], []
    for t in range(start, start + steps):
        at = (t,) if timed[1] else ()
        v = v @ derivative(w, *at).T if kind == "jacobian" else derivative(w, v, *at)
        w = step(w, t) if timed[0] else step(w)
        if interval and (t + 1 - start) % interval == 0:
            v, r = qr(v)
            triangles.append(r)
        states.append(w)
        vectors.append(v)
    return np.array(states), np.array(vectors), np.array(triangles)


@pytest.mark.parametrize("n", [2, 11])
@pytest.mark.parametrize("interval", [0, 1, 3])
@pytest.mark.parametrize("name", MAPS)
def test_all_records_of_tangent_vectors_are_those_of_a_plain_loop(name, interval, n):
    functions, w, v = setting(name, n, 9)
    steps, every, snapshot = 12, 4, 3
    record = (
        {"norm", "weights", "copy_weights", "distance", "triangle"}
        if interval
        else {"norm", "weights", "copy_weights", "distance"}
    )
    out = run(
        functions, w, v, steps, cuts=(5, 6), every=every, snapshot=snapshot, record=record, tangent=True, interval=interval, start=7
    )  # fmt: skip
    for i in range(n):
        states, vectors, r = plain(functions, w[i], v[i], steps, interval, start=7)
        scale = np.abs(vectors).max()
        near = {"rtol": 1e-9, "atol": 1e-9 * scale}
        np.testing.assert_allclose(out["norm"][i], np.abs(states[::every]).sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(out["weights"][i], states[::snapshot], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(out["copy_weights"][i], vectors[::snapshot].swapaxes(0, 1), **near)
        np.testing.assert_allclose(out["distance"][i], np.abs(vectors[::every]).sum(axis=2).T, **near)
        np.testing.assert_allclose(out["reference"][i], states[-1], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(out["copies"][i], vectors[-1], **near)
        if interval:
            np.testing.assert_allclose(out["triangle"][i], r, **near)
            done = np.arange(1, len(r) + 1) * interval - 1
            logs = np.log(np.diagonal(r, axis1=1, axis2=2))
            growth = [logs[done // every == b].sum(axis=0) for b in range(steps // every)]
            np.testing.assert_allclose(out["growth"][i].T, growth, atol=1e-8)
    assert out["growth"].shape == (n, v.shape[1], steps // every if interval else 0)
    assert (out["nonfinite"] == -1).all() and out["nonfinite"].shape == (n, 1 + v.shape[1])


@pytest.mark.parametrize("n", [2, 20])
def test_copies_are_iterated_and_their_distances_measured(n):
    functions, w, offset = setting("driven", n, 3)
    copies = w[:, None] + 1e-3 * offset
    record = {"norm", "weights", "copy_weights", "distance"}
    out = run(functions, w, copies, 10, cuts=(4,), every=2, snapshot=5, record=record, start=2)
    for i in range(n):
        states = plain(functions, w[i], offset[i], 10, 0, start=2)[0]
        np.testing.assert_array_equal(out["weights"][i], states[::5])
        for j in range(3):
            others = plain(functions, copies[i, j], offset[i], 10, 0, start=2)[0]
            np.testing.assert_array_equal(out["copy_weights"][i, j], others[::5])
            np.testing.assert_array_equal(out["copies"][i, j], others[-1])
            np.testing.assert_allclose(out["distance"][i, j], np.abs(others - states)[::2].sum(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(
        out["snapshots"], np.concatenate([out["weights"][:, None], out["copy_weights"]], axis=1)
    )


def test_no_copies_and_no_derivative():
    out = run(HENON._replace(derivative=None), np.array([[0.1, 0.1]]), None, 3, every=2, record={"norm"})
    assert out["copies"].shape == (1, 0, 2) and out["norm"].shape == (1, 2) and "weights" not in out
    with pytest.raises(ValueError, match="need a jacobian or a jvp"):
        CompiledRun(
            HENON._replace(derivative=None),
            np.zeros((1, 2)),
            np.ones((1, 1, 2)),
            steps=1,
            every=1,
            record=(),
            threads=1,
            tangent=True,
        )


@pytest.mark.parametrize("interval", [1, 3])
@pytest.mark.parametrize("name", MAPS)
def test_a_trajectory_has_the_same_bits_in_any_batch_place_and_number_of_threads(name, interval):
    functions, w, v = setting(name, 2 * LANES + 3, 11)
    options = {
        "tangent": True,
        "interval": interval,
        "record": {"weights", "copy_weights", "triangle", "distance"},
        "every": 3,
    }
    whole = run(functions, w, v, 12, threads=1, **options)
    for rows, threads in ((slice(0, 1), 1), (slice(5, 7), 2), (slice(3, 12), 1), (slice(None), 3)):
        part = run(functions, w[rows], v[rows], 12, threads=threads, **options)
        assert set(part) == set(whole)
        for key, value in part.items():
            assert value.tobytes() == np.ascontiguousarray(whole[key][rows]).tobytes(), (key, rows)


@pytest.mark.parametrize("n", [1, 9])
@pytest.mark.parametrize("name", ["driven", "henon_jvp"])
def test_stretches_and_pieces_have_the_bits_of_one_long_run(name, n):
    functions, w, v = setting(name, n, 4)
    options = {"tangent": True, "interval": 2, "record": {"triangle", "norm"}, "every": 10}
    whole = run(functions, w, v, 40, **options)
    pieces = run(functions, w, v, 40, cuts=(1, 2, 13, 39), **options)
    for key, value in pieces.items():
        assert value.tobytes() == whole[key].tobytes(), key
    first = run(functions, w, v, 20, **options)
    second = run(functions, first["reference"], first["copies"], 20, orthonormal=True, start=20, **options)
    for key, axis in (("growth", 2), ("triangle", 1)):
        assert np.concatenate([first[key], second[key]], axis=axis).tobytes() == whole[key].tobytes()
    for key in ("reference", "copies"):
        assert second[key].tobytes() == whole[key].tobytes()


def test_exponents_of_henon():
    functions, w, v = setting("henon", 64, 2)
    start = run(functions, w, v, 100, tangent=True, interval=1)
    out = run(functions, start["reference"], start["copies"], 20_000, every=20_000, tangent=True, interval=1)
    np.testing.assert_allclose(out["growth"][..., 0].mean(axis=0) / 20_000, [0.41922, -1.62319], atol=1e-3)
    np.testing.assert_allclose(out["growth"].sum(axis=(1, 2)) / 20_000, np.log(0.3), rtol=1e-12)


def test_the_logistic_map_at_four_has_exponent_ln_2():
    @numba.njit
    def step(x):
        return 4.0 * x * (1.0 - x)

    @numba.njit
    def jacobian(x):
        return (4.0 - 8.0 * x).reshape(1, 1)

    functions = Functions(step, jacobian, "jacobian", (False, False))
    w = np.random.default_rng(1).uniform(0.1, 0.9, (20, 1))
    out = run(functions, w, np.ones((20, 1, 1)), 5000, every=5000, tangent=True, interval=1)
    assert abs(out["growth"].mean() / 5000 - np.log(2)) < 2e-3


def test_linear_maps_have_the_logarithms_of_their_eigenvalues():
    rng = np.random.default_rng(3)
    basis = rng.standard_normal((12, 12))
    values = 1.3 * 0.8 ** np.arange(12)
    functions = linear(basis @ np.diag(values) @ np.linalg.inv(basis))
    for n in (1, 10):
        v = rng.standard_normal((n, 12, 12))
        out = run(functions, np.zeros((n, 12)), v, 700, every=100, tangent=True, interval=1)
        np.testing.assert_allclose(out["growth"][:, :, -1] / 100, np.broadcast_to(np.log(values), (n, 12)), atol=1e-9)


def test_what_is_lost_in_rounding_is_nan_and_what_is_wiped_out_is_minus_infinity():
    cat, singular = linear(np.array([[2.0, 1.0], [1.0, 1.0]])), linear(np.diag([1.1, 0.0]))
    for n in (1, 10):
        w, v = np.zeros((n, 2)), np.tile(np.eye(2), (n, 1, 1))
        out = run(cat, w, v, 400, every=400, tangent=True, interval=5)
        np.testing.assert_allclose(out["growth"][..., 0] / 400, np.tile([GOLDEN, -GOLDEN], (n, 1)), atol=5e-3)
        out = run(cat, w, v, 400, every=400, tangent=True, interval=40)
        assert np.isnan(out["growth"][:, 1]).all()
        np.testing.assert_allclose(out["growth"][:, 0, 0] / 400, GOLDEN, atol=5e-3)
        out = run(singular, w, v, 10, every=5, tangent=True, interval=1)
        np.testing.assert_allclose(out["growth"][:, 0], 5 * np.log(1.1))
        assert (out["growth"][:, 1] == -np.inf).all() and (out["copies"][:, 1] == 0).all()
        assert (out["nonfinite"] == -1).all()


@pytest.mark.parametrize("factor", [1e-299, 1e-170, 1e170, 1e300])
def test_growth_is_exact_over_the_range_of_float64(factor):
    for n in (1, 10):
        out = run(
            linear(factor * np.eye(3)),
            np.zeros((n, 3)),
            np.tile(np.eye(3), (n, 1, 1)),
            4,
            every=2,
            tangent=True,
            interval=1,
        )
        np.testing.assert_allclose(out["growth"], 2 * np.log(factor), rtol=1e-15)
        np.testing.assert_allclose(out["copies"], np.tile(np.eye(3), (n, 1, 1)), atol=1e-12)


def test_the_first_step_that_is_not_finite_is_noted():
    @numba.njit
    def step(x):
        return x * x

    @numba.njit
    def jacobian(x):
        return np.diag(2.0 * x)

    for n in (2, 12):
        w = np.full((n, 2), 0.5)
        w[1] = [10.0, 0.5]
        with np.errstate(over="ignore"):
            first = next(t for t in range(20) if np.isinf(10.0 ** np.float64(2**t)))
        out = run(Functions(step, None, "jacobian", (False, False)), w, np.repeat(w[:, None], 2, axis=1), 20)
        assert (out["nonfinite"][1] == first).all() and (np.delete(out["nonfinite"], 1, axis=0) == -1).all()
        functions = Functions(step, jacobian, "jacobian", (False, False))
        out = run(functions, w, np.tile(np.eye(2), (n, 1, 1)), 20, cuts=(9, 12), every=5, tangent=True, interval=1)
        assert out["nonfinite"][1, 0] == first and (out["nonfinite"][1, 1:] > first).all()
        assert np.isnan(out["growth"][1, :, -1]).all() and np.isfinite(out["growth"][1, 0, 0])
        assert np.isfinite(np.delete(out["growth"], 1, axis=0)[..., 0]).all()


def test_what_does_not_compile_says_why():
    @numba.njit
    def batch(x):
        return np.stack((x[:, 0], x[:, 1]), axis=-1)

    @numba.njit
    def number(x):
        return x[0]

    @numba.njit
    def whole(x):
        return np.ones(2, dtype=np.int64)

    @numba.njit
    def two(x, t):
        return x

    plain_step = (henon, None, "jacobian", (False, False))
    assert compiles(HENON, 2) is None and compiles(Functions(*plain_step), 2) is None
    for step, told in (
        (batch, "does not compile"),
        (number, "1-d float64 array"),
        (whole, "1-d float64"),
        (two, "does not compile"),
    ):
        reason = compiles(Functions(step, *plain_step[1:]), 2)
        assert reason.startswith("step") and told in reason and "\n" not in reason
        with pytest.raises(ValueError, match="step"):
            CompiledRun(
                Functions(step, *plain_step[1:]), np.zeros((1, 2)), None, steps=1, every=1, record=(), threads=1
            )
    assert compiles(HENON._replace(derivative=henon), 2).startswith("jacobian must return a 2-d")
    assert compiles(HENON._replace(derivative=henon_jacobian, kind="jvp"), 2).startswith("jvp does not compile")


def test_an_array_of_the_wrong_shape_is_refused_and_errors_are_passed_on():
    @numba.njit
    def longer(x):
        return np.ones(len(x) + 1)

    @numba.njit
    def square(x):
        return np.eye(len(x) + 1)

    @numba.njit
    def fails(x):
        if x[0] < 1:
            raise ArithmeticError("out of the domain")
        return x

    for n in (1, 12):
        w, v = np.zeros((n, 2)), np.tile(np.eye(2), (n, 1, 1))
        with pytest.raises(ValueError, match="step must return"):
            run(Functions(longer, None, "jacobian", (False, False)), w, None, 1)
        with pytest.raises(ValueError, match="jacobian must return"):
            run(HENON._replace(derivative=square), w, v, 1, tangent=True, interval=1)
        with pytest.raises(ArithmeticError, match="out of the domain"):
            run(Functions(fails, None, "jacobian", (False, False)), w, None, 1)


def test_a_function_may_change_its_argument_in_place():
    @numba.njit
    def step(x):
        x[0], x[1] = 1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]
        return x

    functions, w, v = setting("henon", 5, 2)
    options = {"tangent": True, "interval": 1}
    expected = run(functions, w, v, 30, **options)
    assert (
        run(functions._replace(step=step), w, v, 30, **options)["reference"].tobytes()
        == expected["reference"].tobytes()
    )


def test_compiled_once_for_each_map_and_measured():
    functions, w, v = setting("henon", 3, 2)
    functions = functions._replace(step=numba.njit(henon.py_func))
    one = CompiledRun(functions, w, v, steps=5, every=1, record=(), threads=1, tangent=True, interval=1)
    before = _build(functions, True).nopython_signatures
    one.prepare()
    assert not before and len(_build(functions, True).nopython_signatures) == 1 and one.seconds_per_step > 0
    assert one.description == "compiled map (Numba), 1 thread"
    other = CompiledRun(functions, w[:1], v[:1], steps=5, every=1, record={"weights"}, threads=2, tangent=True)
    other.prepare()
    assert len(_build(functions, True).nopython_signatures) == 1 and other.description.endswith("2 threads")
