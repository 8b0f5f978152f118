"""Who silences whom, and why there was no event."""

from __future__ import annotations

from pipeline.suppression import UNCONFIRMED, Claim, blocker


def test_a_moving_or_covered_camera_silences_labels_and_light_does_not() -> None:
    """The worse of two is the reason."""
    assert blocker(["lighting", "background"]) is None
    assert blocker(["lighting", "camera"]) == "camera"
    assert blocker(["camera", "tamper"]) == "tamper"
    assert blocker([]) is None


def test_the_strongest_nuisance_explains_what_the_gate_saw() -> None:
    """Whenever during the motion it was."""
    claim = Claim(10.0, 10.3)
    claim.hear(10.4, {"background": 0.7}, has_event=False)
    claim.hear(10.8, {"lighting": 0.9, "background": 0.2}, has_event=False)
    claim.hear(11.2, {}, has_event=False)
    assert claim.reason() == "lighting"


def test_motion_that_nobody_explains_is_unconfirmed() -> None:
    """The scores were there and saw nothing."""
    claim = Claim(10.0, 10.3)
    claim.hear(10.4, {}, has_event=False)
    assert claim.reason() == UNCONFIRMED


def test_motion_that_a_label_tells_is_not_suppressed() -> None:
    """Even with a lamp switched meanwhile."""
    claim = Claim(10.0, 10.3)
    claim.hear(10.4, {"lighting": 0.9}, has_event=False)
    claim.hear(10.8, {}, has_event=True)
    claim.hear(11.2, {}, has_event=False)
    assert claim.reason() is None


def test_scores_of_before_the_motion_say_nothing_about_it() -> None:
    """Windows arrive after the frames they end with."""
    claim = Claim(10.0, 10.3)
    claim.hear(9.6, {"lighting": 0.9}, has_event=True)
    assert not claim.is_scored
    assert claim.reason() == UNCONFIRMED


def test_without_scores_for_five_seconds_nobody_listens() -> None:
    """The worker is away, or not there yet."""
    claim = Claim(10.0, 10.3)
    assert not claim.is_unheard(15.2)
    assert claim.is_unheard(15.3)
    claim.hear(15.3, {}, has_event=False)
    assert not claim.is_unheard(100.0)
