"""`python -m nmt`, and the console script."""

import sys
from importlib import import_module

from nmt.cores import configure_openmp
from nmt.startup import end_at_once, handle_endings, open_closed_streams, raise_again


def main() -> None:
    """Run the command line; a signal that comes while it is imported, for 0.2 s, ends the process without a trace."""
    handle_endings(end_at_once)
    sys.unraisablehook = raise_again
    open_closed_streams()
    configure_openmp()
    import_module("nmt.cli").main()


if __name__ == "__main__":
    main()
