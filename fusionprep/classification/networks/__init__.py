"""Networks that classify volumes, by name. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkEntry:
    """A network.

    Attributes
    ----------
    title
        In words.
    factory
        ``module:function`` within this package; called with the numbers of channels and classes.
    """

    title: str
    factory: str


NETWORKS = {
    "cnn-simple": NetworkEntry("3-D simple CNN", "cnn:SimpleCNN"),
    "cnn-multiscale": NetworkEntry("3-D multi-scale CNN", "cnn:MultiScaleCNN"),
    "densenet": NetworkEntry("3-D DenseNet (MONAI)", "cnn:densenet"),
}
"""By what users type."""
