"""What can go wrong between a bundle and its scores.

Foreign exceptions (TensorFlow, zip, numpy) are translated into these where the foreign library is
imported. Messages say what failed, the value received and what to do.
"""

from __future__ import annotations


class ModelError(Exception):
    """Base of everything this package raises on purpose."""


class BundleError(ModelError):
    """A bundle is missing, damaged or does not fit; the operator must choose another."""


class EngineUnavailableError(ModelError):
    """The asked engine or precision does not exist here; the message names those that do."""


class EngineFailedError(ModelError):
    """The runtime failed; the classifier is unusable afterwards and its process is replaced."""


class EvaluationError(ModelError):
    """What is to be evaluated cannot be read or does not fit; the operator must correct it."""


class DataError(ModelError):
    """Data for training cannot be had: a file, a manifest or a worker that reads them failed."""


class TrainingError(ModelError):
    """A training run cannot begin or go on; the message says what the operator can do."""
