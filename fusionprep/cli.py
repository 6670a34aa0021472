"""The ``fusionprep`` command."""

import argparse
import sys
from collections.abc import Sequence

from fusionprep._version import __version__
from fusionprep.arguments import USAGE, Parser, quietly, shortened
from fusionprep.commands import COMMANDS
from fusionprep.errors import FusionPrepError, UsageError, one_line
from fusionprep.machine import is_short_of_memory
from fusionprep.signals import ending_in_order


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        0; 1 for data that cannot be used; 64 for a command that cannot be run; 128 and its number
        for a signal.
    """
    return quietly(lambda: ending_in_order(lambda: _run(argv)))


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except FusionPrepError as error:
        print(f"fusionprep: {shortened(one_line(str(error)))}", file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else 1
    except Exception as error:
        what = " ".join(str(error).split())
        if not is_short_of_memory(f"{type(error).__name__}: {what}"):
            raise
        print(f"fusionprep: too little memory: {what or 'none is left'}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Declare every command and its options."""
    parser = Parser(
        prog="fusionprep", description="Fuse aligned brain images, and train the models that do."
    )
    parser.add_argument("--version", action="version", version=f"fusionprep {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
