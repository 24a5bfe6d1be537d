"""The entry point of the process. Slow imports happen within `main`, so that Ctrl-C ends it cleanly
while they run."""

import sys


def main() -> None:
    """The command line."""
    try:
        from pushsvc.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
