"""What tests of this room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamer.notes import RingSpec
from streamer.ring import create_ring, remove_ring


@pytest.fixture
def ring() -> Iterator[RingSpec]:
    spec = create_ring("door", 64, 32, 32)
    yield spec
    remove_ring(spec)
