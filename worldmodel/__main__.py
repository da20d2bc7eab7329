"""`python -m worldmodel`: the command line. The one place where this package looks outside itself."""

import sys

if __name__ == "__main__":
    from agents.cli import main

    sys.exit(main())
