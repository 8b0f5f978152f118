"""How long to wait before a lost camera is opened again.

In: the class of each loss and the seconds a source was healthy. Out: the next wait, exponential
with full jitter. The policy is pure: the control plane sleeps, and bounds the opens in flight.
Invariant: no wait is ever longer than the configured cap, however long the outage.

Why three regimes: in the first minute of an outage (a camera that reboots, a cable) waits stay
below 5 s, so that a camera back after 40 s shows pictures within 6 s; afterwards they grow to
`cap_s`. A refused password hardly jitters downwards: cameras lock accounts, and 12 tries in 10
minutes is the most that is allowed.
"""

from __future__ import annotations

import random
from typing import Final

from streamer.config import ReconnectConfig
from streamer.errors import LossKind

YOUNG_OUTAGE_S: Final = 60.0
YOUNG_CAP_S: Final = 5.0

# 4.85 + 19.4 + 10 x 58.2 s: with the defaults the 13th try comes 606 s after the first at the
# earliest.
AUTH_GROWTH: Final = 4.0
AUTH_LEAST_SHARE: Final = 0.97

# 2**40 x any initial wait is above any cap; keeps the power finite in an outage of years.
_MAX_EXPONENT: Final = 40


class Backoff:
    """Waits between the opens of one camera.

    Args:
        config: bounds of the waits.
        rng: source of jitter; tests pass a seeded one.
    """

    def __init__(self, config: ReconnectConfig, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._n_losses = 0
        self._n_refusals = 0
        self._waited_s = 0.0

    def next_delay_s(self, kind: LossKind) -> float:
        """Return the seconds to wait before the next open, and count the loss.

        Args:
            kind: class of the loss; `auth` is paced by the auth bounds and has its own count.

        Returns:
            0..cap_s, or for `auth` 0..auth_cap_s.
        """
        delay_s = self._auth_delay_s() if kind == "auth" else self._delay_s()
        self._waited_s += delay_s
        return delay_s

    def healthy(self, uptime_s: float) -> None:
        """Note that frames flowed for `uptime_s` seconds: from `healthy_s` on, all is forgotten."""
        if uptime_s >= self._config.healthy_s:
            self.reset()

    def reset(self) -> None:
        """Forget every loss, as after a change of the camera's configuration."""
        self._n_losses = self._n_refusals = 0
        self._waited_s = 0.0

    def _delay_s(self) -> float:
        cap_s = self._config.cap_s
        if self._waited_s < YOUNG_OUTAGE_S:
            cap_s = min(cap_s, YOUNG_CAP_S)
        bound_s = min(cap_s, self._config.initial_s * 2.0 ** min(self._n_losses, _MAX_EXPONENT))
        self._n_losses += 1
        return self._rng.uniform(0.0, bound_s)

    def _auth_delay_s(self) -> float:
        growth = AUTH_GROWTH ** min(self._n_refusals, _MAX_EXPONENT)
        bound_s = min(self._config.auth_cap_s, self._config.auth_initial_s * growth)
        self._n_refusals += 1
        return self._rng.uniform(AUTH_LEAST_SHARE * bound_s, bound_s)
