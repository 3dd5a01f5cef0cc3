"""The symmetry of the softmax: the directions are neutral whatever the data, and the rest of the spectrum is all the rest."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.stability import shift_directions, transverse, transverse_basis


def descent(**options):
    decay = options.pop("weight_decay", 0.0)
    return tl.GradientDescent(tl.Perceptron(4, 10, 3, **options), tl.iris(), lr=0.3, weight_decay=decay)


def test_directions_are_one_for_each_unit_and_one_for_the_biases():
    shifts = shift_directions(tl.Perceptron(4, 10, 3))
    assert shifts.shape == (11, 83)
    names = np.array(tl.Perceptron(4, 10, 3).parameter_names)
    assert [list(names[s > 0]) for s in shifts[[0, -1]]] == [
        ["W2[0,0]", "W2[0,1]", "W2[0,2]"],
        ["b2[0]", "b2[1]", "b2[2]"],
    ]


@pytest.mark.parametrize("sizes", [(4, 10, 3), (4, (6, 5), 3), (2, 3, 7)])
def test_shifts_and_basis_are_an_orthonormal_frame(sizes):
    network = tl.Perceptron(*sizes)
    frame = np.concatenate([shift_directions(network), transverse_basis(network).T])
    np.testing.assert_allclose(frame @ frame.T, np.eye(network.n_parameters), atol=1e-14)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_projected_spectrum_and_eleven_ones_are_the_whole_spectrum(activation):
    gd = descent(activation=activation)
    jacobian = gd.jacobian(tl.train(gd, gd.network.init(4, seed=0), 50).final)
    whole = np.linalg.eigvalsh(jacobian)
    part = np.linalg.eigvalsh(transverse(gd.network, jacobian))
    joined = np.sort(np.concatenate([part, np.ones((4, 11))], axis=1), axis=1)
    np.testing.assert_allclose(joined, whole, atol=1e-12)


def test_with_weight_decay_the_shifts_decay_alone():
    gd = descent(weight_decay=0.1)
    shifts = shift_directions(gd.network)
    jacobian = gd.jacobian(gd.network.init(2, seed=0))
    np.testing.assert_allclose(jacobian @ shifts.T, np.broadcast_to(0.97 * shifts.T, (2, 83, 11)), atol=1e-13)


def test_the_loss_of_a_deep_network_does_not_change_along_a_shift():
    network = tl.Perceptron(4, (6, 5), 3, activation="tanh")
    gd = tl.GradientDescent(network, tl.iris())
    w = network.init(1, seed=0)
    np.testing.assert_allclose(gd.loss(w + 3.0 * shift_directions(network)), np.broadcast_to(gd.loss(w), 6), rtol=1e-13)


def test_a_loss_without_a_softmax_has_none():
    network = tl.Perceptron(4, 10, 3, loss="half_squared_error")
    assert shift_directions(network).shape == (0, 83)
    np.testing.assert_array_equal(transverse_basis(network), np.eye(83))


def test_wrong_matrices_are_refused():
    with pytest.raises(ValueError, match=r"\(\.\.\., 83, 83\)"):
        transverse(tl.Perceptron(4, 10, 3), np.eye(3))
    with pytest.raises(TypeError, match="Perceptron"):
        shift_directions("4-10-3")
