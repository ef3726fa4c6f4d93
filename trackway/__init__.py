"""The command line and the processes: joins the packages."""

from importlib.metadata import version

__version__ = version("trackway")
