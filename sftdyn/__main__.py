"""`python3 -m sftdyn` and the console script `sftdyn` are the same."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
