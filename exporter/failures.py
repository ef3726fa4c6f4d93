"""Whose fault a failure is: the database's, which is waited for, or that of what is stored, which is set aside."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, StatementError

from exporter.fold import BUGS

# Classes of SQLSTATE: data exceptions, broken constraints, limits of the database (an index row that is too large).
_OF_DATA: Final = ("22", "23", "54")
_OURS: Final = Path(__file__).parent.parent


def blames_data(error: BaseException) -> bool:
    """Whether the same records or profiles would fail again, and others would not."""
    if not isinstance(error, DBAPIError):
        return isinstance(error.orig if isinstance(error, StatementError) else error, BUGS)
    if error.connection_invalidated:
        return False
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    if state:
        return str(state)[:2] in _OF_DATA
    # asyncpg calls a value it cannot encode an error of its interface.
    unencodable = isinstance(error.orig, ValueError) or isinstance(getattr(error.orig, "__cause__", None), ValueError)
    return unencodable or isinstance(error, DataError | IntegrityError | ProgrammingError)


def told_without_values(error: BaseException) -> str:
    """The kind of the error and the line of ours that raised it: its text may hold personal data."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    kind = type(cause.__cause__ or cause).__name__
    ours = [one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).is_relative_to(_OURS)]
    own = [one for one in ours if "site-packages" not in one.filename]
    return f"{kind} in {Path(own[-1].filename).name}:{own[-1].lineno}" if own else kind
