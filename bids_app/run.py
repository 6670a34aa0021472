"""fusionapp: parse, plan, build, run, report, and say by the exit code how it went."""

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bids_app.exitcodes import ExitCode, exit_code_of
from bids_app.failures import DISK_ERRORS
from bids_app.signals import interruptions
from bids_app.surroundings import check_folder, ensure_utf8, set_environment
from fusionprep.arguments import quietly
from fusionprep.errors import FusionPrepError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if argv is None:
        ensure_utf8()
    arguments = list(sys.argv[1:] if argv is None else argv)
    return quietly(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    set_environment()
    _ensure_home()
    try:
        with interruptions():
            if _is_demo(arguments):
                return _demo(arguments[1:])
            return _analyse(arguments)
    except FusionPrepError as error:
        print(f"fusionapp: error: {error}", file=sys.stderr)
        return exit_code_of(error)
    except KeyboardInterrupt as interrupt:
        print(
            "fusionapp: interrupted; run the same command again to resume from the work directory",
            file=sys.stderr,
        )
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    except OSError as error:
        # Nipype itself writes to the work directory and to logs/ outside of any node
        if error.errno not in DISK_ERRORS:
            raise
        # a copy that fails names its source first
        name = error.filename2 or error.filename
        place = f": {name}" if name else ""
        print(
            f"fusionapp: error: {error.strerror}{place}; free space or correct permissions, then"
            " run again with the same work directory",
            file=sys.stderr,
        )
        return ExitCode.IO_ERROR


def _ensure_home() -> None:
    """Give a user without an account one, since libraries look for their settings there."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.gettempdir()


def _is_demo(arguments: list[str]) -> bool:
    """``demo`` is a command unless an analysis level says that it is a dataset."""
    return arguments[:1] == ["demo"] and not {"participant", "group"} & set(arguments[1:])


def _demo(arguments: list[str]) -> int:
    from bids_app.parser import Parser

    parser = Parser(prog="fusionapp demo", description="Write a small synthetic BIDS dataset.")
    parser.add_argument("output_dir", type=Path, help="folder to create")
    parser.add_argument("--random-seed", type=int, default=0, metavar="N")
    options = parser.parse_args(arguments)

    from fusionprep.demo.dataset import write_demo_dataset

    write_demo_dataset(options.output_dir, seed=options.random_seed)
    print(f"demo dataset: {options.output_dir}")
    return ExitCode.SUCCESS


def _analyse(arguments: list[str]) -> int:
    from bids_app.parser import parse

    check_folder()
    config, actions = parse(arguments)
    if config.analysis_level == "group":
        from bids_app.group import run_group

        return run_group(config)

    from bids_app.participant import run_participant

    return run_participant(config, actions)


if __name__ == "__main__":
    sys.exit(main())
