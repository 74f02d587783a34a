"""AID's coefficients: the spec's acceptance cases 19 to 23, 26 to 28 and 30, by their numbers."""

import numpy as np
import pytest
from scipy.stats import beta as distribution

from rival_jax import InputError
from rival_jax.interpolation.coefficients import beta_coefficients, fit_beta
from rival_jax.interpolation.exploration import explore, in_step
from rival_jax.interpolation.search import search_beta


def picture(value):
    return np.full((2, 2, 3), round(255 * value), np.uint8)


def apart(one, other):
    """Of pictures of one colour: how far their values are from each other."""
    return abs(float(one.mean()) - float(other.mean())) / 255


def run(search, render):
    """What a search finds of frames that `render` makes."""
    [found] = in_step([search], lambda asked: [render(t) for t in asked])
    return found


@pytest.mark.parametrize(
    ("frames", "shape", "expected", "tolerance"),
    [
        pytest.param(5, (1, 1), [0, 0.25, 0.5, 0.75, 1], 1e-12, id="19"),
        pytest.param(5, (3, 3), [0, 0.35943616, 0.5, 0.64056384, 1], 1e-7, id="20"),
        pytest.param(5, (2, 5), [0, 0.16116292, 0.26444998, 0.38947949, 1], 1e-7, id="21"),
        pytest.param(3, (6, 3), [0, 0.67948103, 1], 1e-7, id="22"),
    ],
)
def test_quantiles(frames, shape, expected, tolerance):
    np.testing.assert_allclose(beta_coefficients(frames, *shape), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 5), (25, 15), (0.5, 0.7)])
def test_23_reversed(shape):
    forth, back = beta_coefficients(7, *shape), beta_coefficients(7, *shape[::-1])
    np.testing.assert_allclose(forth, 1 - back[::-1], rtol=0, atol=1e-9)
    assert (np.diff(forth) > 0).all() and forth[0] == 0 and forth[-1] == 1


@pytest.mark.parametrize(
    ("shape", "name"), [((0, 1), "alpha"), ((1, -1), "beta"), ((float("nan"), 1), "alpha"), ((1, np.inf), "beta")]
)
def test_bad_parameters(shape, name):
    with pytest.raises(InputError, match=f"{name} is .* must be a finite number above 0"):
        beta_coefficients(5, *shape)
    with pytest.raises(InputError, match=f"{name} is"):
        explore(apart, 5, alpha=shape[0], beta=shape[1])


def test_too_few_frames():
    with pytest.raises(InputError, match="num_frames is 2, but must be at least 3"):
        beta_coefficients(2)
    with pytest.raises(InputError, match="exploration_size is 2, but must be at least 3"):
        explore(apart, 2)


@pytest.mark.parametrize(("curve", "first"), [(np.sqrt, 0.35943616), (np.square, 0.64056384)])
def test_26_first_probe(curve, first):
    """Halfway across the larger distance, which lies left or right of the middle."""
    asked = []
    run(explore(apart, 4), lambda t: asked.append(t) or picture(curve(t)))
    assert asked[:3] == [0, 0.5, 1]
    np.testing.assert_allclose(asked[3], first, rtol=0, atol=1e-7)


def test_27_fit():
    xs = np.array([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
    np.testing.assert_allclose(fit_beta(xs, np.diff(distribution.cdf(xs, 2.5, 1.5))), (2.5, 1.5), rtol=0, atol=1e-4)
    np.testing.assert_allclose(fit_beta(xs, np.diff(xs)), (1, 1), rtol=0, atol=1e-4)
    assert fit_beta(xs, np.zeros(6)) is None


@pytest.mark.parametrize("uniform", [False, True])
def test_28_bookkeeping(uniform):
    found = run(explore(apart, 12, uniform=uniform), lambda t: picture(t**3))
    assert len(found.coefficients) == len(found.frames) == len(found.distances) + 1 == 12
    assert found.coefficients[0] == 0 and found.coefficients[-1] == 1 and (np.diff(found.coefficients) > 0).all()
    np.testing.assert_array_equal(found.frames, [picture(t**3) for t in found.coefficients])
    np.testing.assert_allclose(found.distances, [apart(*p) for p in zip(found.frames, found.frames[1:], strict=False)])
    if uniform:
        assert (found.alpha, found.beta) == (1, 1)
        np.testing.assert_allclose(np.unique(np.diff(found.coefficients)), [1 / 16, 1 / 8])
    else:
        assert found.alpha > found.beta  # what changes late is looked at late


def test_exploration_of_nothing():
    """All frames alike: no fit, and a flag."""
    found = run(explore(apart, 6), lambda t: picture(0.5))
    assert found.degenerate and (found.alpha, found.beta) == (3, 3) and len(found.frames) == 6


def test_30_search_of_what_is_even():
    asked = []
    assert run(search_beta(apart, 25), lambda t: asked.append(t) or picture(t)) == (1, 1)
    assert asked == [0, 1, 0.5]


@pytest.mark.parametrize("curve", [lambda t: t**4, lambda t: 1 - (1 - t) ** 4])
def test_search(curve):
    """Of what changes late, or early; frames are made on the side alone that evens it out."""
    asked = []
    alpha, beta = run(search_beta(apart, 25), lambda t: asked.append(t) or picture(curve(t)))
    late = curve(0.5) < 0.5
    assert (alpha > beta) == late and all((t > 0.5) == late for t in asked[3:])
    middle = curve(beta_coefficients(3, alpha, beta)[1])
    assert 1 - abs(2 * middle - 1) / 2 >= 0.89 and len(asked) <= 3 + 3 + 15


def test_search_of_a_jump():
    """Where no middle is good, the best is returned, the same every time."""
    first, second = (run(search_beta(apart, 10), lambda t: picture(float(t > 0.6))) for _ in range(2))
    assert first == second and all(1 <= value <= 10 for value in first)


def test_search_without_room():
    with pytest.raises(InputError, match="largest alpha and beta are 1, but must be above 1"):
        search_beta(apart, 1)


def test_in_step():
    """Searches of different lengths beside each other find what each finds alone."""
    curves = [np.sqrt, lambda t: t, lambda t: t**4]
    calls = []

    def make(asked):
        calls.append(asked.copy())
        return [picture(curve(t)) for curve, t in zip(curves, asked, strict=True)]

    together = in_step([search_beta(apart, 25) for _ in curves], make)
    assert together == [run(search_beta(apart, 25), lambda t, curve=curve: picture(curve(t))) for curve in curves]
    assert len(calls) > 3 and together[1] == (1, 1)
