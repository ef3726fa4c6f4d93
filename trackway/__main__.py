"""`python -m trackway` is `trackway`."""

from trackway.cli import main

raise SystemExit(main())
