"""Where a process begins. Whatever takes its time is loaded within `main`, so that Ctrl-C meanwhile
ends it as it does later."""

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
