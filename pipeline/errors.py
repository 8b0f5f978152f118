"""What can go wrong in the control plane.

`ConfigError` is the operator's to fix (exit 2, one sentence); the others are handled by
supervision.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigError(PipelineError):
    """The operator's input is wrong; the message names the key or file and what to do."""


class WorkerError(PipelineError):
    """The inference worker crashed, hangs or was killed; it is replaced."""


class SinkError(PipelineError):
    """A destination refused or failed to take an event."""
