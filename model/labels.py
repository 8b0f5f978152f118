"""The label set of the built-in bundles: what a window may show.

Several labels can hold at once (sigmoid, not softmax); nothing going on means that all are low.
Motion labels name a direction in the picture and may raise events; nuisances explain a change that
is no object and must not alert. Invariant: the order is that of the scores and never changes within
a bundle version.
"""

from __future__ import annotations

MOTION = ("left", "right", "up", "down", "approach", "recede", "in_place")
"""An object moves that way in the picture; in_place: it moves without travelling (waves, works,
turns)."""

NUISANCES = ("lighting", "camera", "tamper", "background")
"""Light changes; the camera pans or shakes; it is covered or turned away; leaves, rain, water,
screens."""

LABELS = MOTION + NUISANCES

TWINS = (("left", "right"), ("up", "down"))
"""Labels that a mirror exchanges, or nearly so: what is right for one is right for the other."""
