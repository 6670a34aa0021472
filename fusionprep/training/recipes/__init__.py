"""How each model is trained, by name. Imports no torch, so that a command line can list them."""

import importlib
from typing import TYPE_CHECKING

from fusionprep.errors import UsageError

if TYPE_CHECKING:
    from fusionprep.training.recipes.base import Recipe

_RECIPES = (
    ("coconet", "coconet:CoCoNetRecipe"),
    ("densefuse", "densefuse:DenseFuseRecipe"),
    ("dmfnet", "dmfnet:DMFNetRecipe"),
    ("dmfnet_prior", "dmfnet:DMFNetPriorRecipe"),
    ("dsagan", "dsagan:DSAGANRecipe"),
    ("ifcnn", "ifcnn:IFCNNRecipe"),
    ("matr", "matr:MATRRecipe"),
    ("readfuse", "readfuse:ReadFuseRecipe"),
    ("readfuse_ct", "readfuse:ReadFuseCTRecipe"),
    ("selfuse", "selfuse:SelFuseRecipe"),
    ("u2fusion", "u2fusion:U2FusionRecipe"),
    ("unet", "unet:UNetRecipe"),
    ("vggsiamese", "vggsiamese:VGGSiameseRecipe"),
)
"""Model name and ``module:class`` below ``fusionprep.training.recipes``."""


def recipe_names() -> tuple[str, ...]:
    """Names of the models that can be trained."""
    return tuple(name for name, _ in _RECIPES)


def get_recipe(name: str) -> "Recipe":
    """The recipe of the model of that name.

    Raises
    ------
    UsageError
        When the model cannot be trained, or is unknown.
    """
    for known, target in _RECIPES:
        if known == name:
            module_name, _, class_name = target.partition(":")
            module = importlib.import_module(f"fusionprep.training.recipes.{module_name}")
            return getattr(module, class_name)()
    raise UsageError(f"{name!r} cannot be trained; these can: {', '.join(recipe_names())}")
