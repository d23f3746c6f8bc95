"""One odd slice cannot change the answer of a study, wherever it and unfamiliar ones lie."""

import dataclasses

import numpy as np
import pytest
from conftest import encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.study import judge_study, smooth
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom

CALIBRATION = Calibration.identity()
SEVERAL = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def row(label, share=0.97):
    rest = (1 - share) / 3
    return [share if name == label else rest for name in LABELS]


@pytest.fixture(scope="module")
def template(classifier):
    return classifier.classify(encode(draw_phantom("notumor", 1)))


def study_of(template, rows, unfamiliar=(), trusts=None, calibration=CALIBRATION):
    slices = [
        dataclasses.replace(
            template,
            label=LABELS[int(np.argmax(row))],
            probabilities=dict(zip(LABELS, row, strict=True)),
            familiar=place not in unfamiliar,
            trust=1.0 if trusts is None else trusts[place],
            slice_index=place,
            slice_count=len(rows),
        )
        for place, row in enumerate(rows)
    ]
    return judge_study(slices, calibration, 0.95)


def answer(study):
    """Return what a person reads."""
    return (
        study.verdict,
        study.label,
        study.prediction_set,
        tuple(round(p, 9) for p in study.probabilities.values()),
        round(study.trust, 9),
        study.evidence_slices,
        study.slices[study.strongest].label,
    )


@st.composite
def studies(draw):
    """Return a size, the odd slice's place and those of unfamiliar slices, the odd one's row."""
    count = draw(st.integers(3, 200))
    places = st.integers(0, count - 1)
    odd = draw(places | st.sampled_from([0, 1, count - 2, count - 1]))
    beside = st.sampled_from([p for p in range(odd - 4, odd + 5) if 0 <= p < count])
    unfamiliar = draw(st.sets(beside, max_size=4) | st.sets(places, max_size=count // 2)) - {odd}
    shares = draw(st.lists(st.floats(0.001, 1), min_size=4, max_size=4))
    odd_row = draw(st.sampled_from([row(label, 0.999) for label in LABELS]) | st.just(shares))
    return count, odd, unfamiliar, list(np.divide(odd_row, np.sum(odd_row)))


@SEVERAL
@given(studies(), st.sampled_from(LABELS), st.floats(0, 1))
def test_one_odd_slice_cannot_change_the_answer(template, study, label, trust):
    count, odd, unfamiliar, odd_row = study
    if count - len(unfamiliar) < 3:
        return  # the rule for few familiar slices, below
    rows, trusts = [row(label)] * count, [0.8] * count
    without = study_of(template, rows, unfamiliar, trusts)
    rows, trusts = rows.copy(), trusts.copy()
    rows[odd], trusts[odd] = odd_row, trust
    assert answer(study_of(template, rows, unfamiliar, trusts)) == answer(without)


@SEVERAL
@given(studies(), st.randoms(use_true_random=False))
def test_curve_stays_within_what_the_other_slices_say(study, random):
    count, odd, unfamiliar, odd_row = study
    if count - len(unfamiliar) < 3:
        return
    rows = np.array([row("notumor", random.uniform(0.9, 0.99)) for _ in range(count)])
    rows[odd] = odd_row
    familiar = ~np.isin(np.arange(count), list(unfamiliar))
    curve = smooth(rows, familiar, 3)[:, LABELS.index("notumor")]
    assert np.nanmin(curve, initial=1) > 0.85


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 24])
def test_every_place_of_the_odd_slice_and_of_two_unfamiliar_ones(template, count):
    for odd in range(count):
        rows = [row("notumor")] * count
        rows[odd] = row("glioma")
        others = [place for place in range(count) if place != odd and abs(place - odd) < 5]
        for first in others:
            for second in others:
                unfamiliar = {first, second}
                if count - len(unfamiliar) >= 3:
                    study = study_of(template, rows, unfamiliar)
                    assert study.label == "notumor", (odd, unfamiliar)
                    assert study.evidence_slices == ()
                    assert study.most_telling.label == "notumor"


@pytest.mark.parametrize(("count", "unfamiliar"), [(2, ()), (3, (0,)), (3, (1,)), (3, (2,))])
def test_two_familiar_slices_that_disagree_leave_both_classes_possible(template, count, unfamiliar):
    familiar = [place for place in range(count) if place not in unfamiliar]
    for odd in familiar:
        rows = [row("notumor")] * count
        agreeing = study_of(template, rows, unfamiliar)
        assert (agreeing.verdict, agreeing.label) == ("confident", "notumor")
        rows[odd] = row("glioma", 0.999)
        study = study_of(template, rows, unfamiliar)
        assert study.verdict == "uncertain"
        assert set(study.prediction_set) == {"glioma", "notumor"}
        assert study.evidence_slices == ()
        assert "odd slice cannot be outvoted" in study.rule


@pytest.mark.parametrize("count", [4, 10, 60, 200])
def test_two_familiar_slices_of_many_name_no_class(template, count):
    for second in (1, count // 2, count - 1):
        unfamiliar = set(range(count)) - {0, second}
        study = study_of(template, [row("glioma")] * count, unfamiliar)
        assert study.verdict == "unfamiliar"


def test_rule_of_one_slice_promises_nothing_about_odd_ones(template):
    assert "odd slice" not in study_of(template, [row("glioma")]).rule
    assert "One odd slice cannot change" in study_of(template, [row("glioma")] * 3).rule


def test_slice_to_show_is_sought_in_the_same_location_as_the_curve(template):
    # The location of the first slice is moved inwards, to the slices 0, 1 and 2.
    rows = [row("glioma", 0.97), row("glioma", 0.97), row("glioma", 0.98), *[row("notumor")] * 5]
    study = study_of(template, rows)
    assert study.strongest == 2
