"""What the command lines have in common."""

import argparse
from pathlib import Path


class NamedPaths(argparse.Action):
    """Collects ``NAME=PATH``, each name once, from an option that may be repeated."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str,
        _option: str | None = None,
    ) -> None:
        name, _, path = values.partition("=")
        if not name or not path:
            raise argparse.ArgumentError(self, f"{values!r} is not {self.metavar}")
        collected = getattr(namespace, self.dest, {})
        if name in collected:
            raise argparse.ArgumentError(self, f"{name} is given twice; each needs its own name")
        setattr(namespace, self.dest, {**collected, name: Path(path)})
