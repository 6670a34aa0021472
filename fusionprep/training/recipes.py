"""Which models can be trained, and how each is. Imports no torch."""

import importlib
from pathlib import Path

from fusionprep.errors import UsageError
from fusionprep.training.options import TrainingOptions

_RECIPES = (("densefuse", "autoencoder:train_densefuse"),)
"""Model name and ``module:function`` below ``fusionprep.training``."""


def recipe_names() -> tuple[str, ...]:
    """Names of the models that can be trained."""
    return tuple(name for name, _ in _RECIPES)


def train(name: str, data_dir: Path, out_dir: Path, options: TrainingOptions) -> Path:
    """Train the model of that name.

    Returns
    -------
    Path
        The weights file in ``out_dir``; its card lies beside it.

    Raises
    ------
    UsageError
        When the model has no training, or is unknown.
    """
    for known, function in _RECIPES:
        if known == name:
            module_name, _, function_name = function.partition(":")
            module = importlib.import_module(f"fusionprep.training.{module_name}")
            return getattr(module, function_name)(data_dir, out_dir, options)
    raise UsageError(f"{name!r} cannot be trained; these can: {', '.join(recipe_names())}")
