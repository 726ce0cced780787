"""Calibration: a monotone function of features, and the figures of how reliable it is."""

import numpy as np
import pytest

from nmt.errors import DataError
from nmt.evaluation.calibration import Fit, fit, measure

RNG = np.random.default_rng(1)
FEATURES = RNG.normal(size=(2000, 3)) * [1, 5, 0] + [0, 3, 7]  # the last is constant
SCORES = np.clip(50 + 15 * FEATURES[:, 0] - 2 * (FEATURES[:, 1] - 3) + RNG.normal(size=2000) * 5, 0, 100)
FITTED = fit(FEATURES[:1000].tolist(), SCORES[:1000].tolist())


def test_a_fit_expects_the_scores_of_lines_that_it_has_not_seen() -> None:
    expected = FITTED.predict(FEATURES[1000:].tolist())
    assert np.corrcoef(expected, SCORES[1000:])[0, 1] > 0.9
    assert measure(expected.tolist(), SCORES[1000:].tolist())["error"] < 1.5
    assert FITTED.means[2] == pytest.approx(7)
    assert FITTED.scales[2] == 1.0
    assert FITTED.coefficients[0] > 0 > FITTED.coefficients[1]


def test_expected_scores_ascend_and_stay_between_the_means_of_the_groups() -> None:
    xs, ys = zip(*FITTED.knots, strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys)
    assert 2 <= len(xs) <= 20
    extreme = FITTED.predict([[99.0, 3.0, 7.0], [-99.0, 3.0, 7.0]])
    assert extreme.tolist() == [ys[-1], ys[0]]


def test_what_is_expected_of_a_line_does_not_depend_on_the_others() -> None:
    together = FITTED.predict(FEATURES[:50].tolist()).tolist()
    assert [FITTED.predict([row])[0] for row in FEATURES[:50].tolist()] == together


def test_scores_that_fall_are_pooled() -> None:
    features = [[float(number)] for number in range(100)]
    flat = fit(features, [50.0] * 100)
    assert [y for _, y in flat.knots] == [50.0]
    jumping = fit(features, [number // 25 % 2 * 10.0 + number // 50 * 20 for number in range(100)])
    assert [round(y) for _, y in jumping.knots] == [0, 10, 20, 30]
    falling = fit(
        [[float(number % 50)] for number in range(100)], [30.0 - (n % 50 > 24) - (n > 49) for n in range(100)]
    )
    assert falling.coefficients[0] < 0


def test_few_lines_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        fit([[1.0]] * 99, [1.0] * 99)
    assert str(caught.value) == "99 lines to calibrate on: 100 are the least (give more lines)"
    assert fit([[1.0]] * 100, [1.0] * 100).knots == [(0.0, 1.0)]


def test_reliability_is_measured_in_bins_of_as_many_lines() -> None:
    found = measure([10.0, 20.0, 30.0, 40.0], [12.0, 18.0, 30.0, 44.0])
    assert [one["lines"] for one in found["bins"]] == [1, 1, 1, 1]
    assert found["error"] == pytest.approx((2 + 2 + 0 + 4) / 4)
    assert found["correlation"] == pytest.approx(np.corrcoef([10, 20, 30, 40], [12, 18, 30, 44])[0, 1])
    assert found["rank_correlation"] == pytest.approx(1.0)
    many = measure(list(map(float, range(25))), [float(number + number % 2) for number in range(25)])
    assert [one["lines"] for one in many["bins"]] == [3] * 5 + [2] * 5
    assert many["bins"][0] == {"lines": 3, "confidence": 1.0, "score": pytest.approx(4 / 3)}


def test_ranks_of_equal_values_are_shared_and_constant_sides_have_no_correlation() -> None:
    assert measure([1.0, 2.0, 2.0, 3.0], [1.0, 2.5, 2.5, 9.0])["rank_correlation"] == pytest.approx(1.0)
    assert measure([1.0, 2.0, 2.0], [1.0, 2.0, 3.0])["rank_correlation"] == pytest.approx(0.8660254)
    constant = measure([1.0, 1.0], [1.0, 2.0])
    assert (constant["correlation"], constant["rank_correlation"]) == (None, None)
    assert measure([], [])["bins"] == []


def test_a_function_is_linear_between_its_knots() -> None:
    made = Fit([1.0], [2.0], [3.0], [(0.0, 10.0), (3.0, 40.0)])
    assert made.predict([[1.0], [2.0], [3.0]]).tolist() == [10.0, 25.0, 40.0]
