"""`python -m negotiator.cli`: the command, where no script of that name is on the path."""

import sys

from negotiator.cli.command import main

sys.exit(main())
