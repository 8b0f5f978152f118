"""A training recipe in, a validated `Recipe` out.

Read by the same machinery as the configuration: YAML 1.2, `${NAME}` from the environment, problems
as sentences with file, line, key and remedy.
Invariant: whatever is wrong with the file becomes a `ConfigError`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from model.training.recipe import Recipe
from pipeline.complaint import Place, complaints, one_line
from pipeline.errors import ConfigError
from pipeline.yamlfile import read_yaml


def load_recipe(path: Path, environment: Mapping[str, str] = os.environ) -> Recipe:
    """Read and validate a recipe.

    Args:
        path: YAML; files in it start at the current folder.
        environment: values of `${NAME}`.

    Raises:
        ConfigError: one sentence on the first problem, and how many more there are.
    """
    data, lines = read_yaml(path, environment)
    name = one_line(str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: must be a mapping with `name:` and `phases:`")
    try:
        return Recipe.model_validate(data)
    except ValidationError as err:
        places = {at: Place(f"{name}:{line}") for at, line in lines.items()}
        found = complaints(err, Recipe, data, places)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ConfigError(found[0] + more) from None
