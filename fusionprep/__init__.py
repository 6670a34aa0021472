"""Preprocess and fuse brain PET, MRI and CT."""

from typing import TYPE_CHECKING, Any

from fusionprep._version import __version__

if TYPE_CHECKING:
    from fusionprep.config import Config
    from fusionprep.image.colour import load_colour
    from fusionprep.modalities import MODALITIES, Modality, get_modality
    from fusionprep.models import fuse
    from fusionprep.models.registry import get_model, model_names

__all__ = [
    "MODALITIES",
    "Config",
    "Modality",
    "__version__",
    "fuse",
    "get_modality",
    "get_model",
    "load_colour",
    "model_names",
]
_HOMES = {
    "Config": "config",
    "MODALITIES": "modalities",
    "Modality": "modalities",
    "get_modality": "modalities",
    "fuse": "models",
    "get_model": "models.registry",
    "load_colour": "image.colour",
    "model_names": "models.registry",
}


def __getattr__(name: str) -> Any:
    """Import what a notebook needs when it is first asked for, so that ``import`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
