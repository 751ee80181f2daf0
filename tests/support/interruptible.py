"""The command line as Ctrl-C meets it, whatever runs the tests."""

import sys

# A shell lets what it runs in the background ignore SIGINT, and children inherit that.
_PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from presage_cli.main import app; app()"
)


def presage_command(*arguments: str) -> list[str]:
    """Return the command of `presage ARGUMENTS` in a process that an interrupt reaches."""
    return [sys.executable, "-c", _PROGRAM, *arguments]
