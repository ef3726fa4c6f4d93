"""From a source's item to a row that may be sent: processors, then the check against the stream's columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.processors import Row, processors_of
from exporter.rows import ColumnType, Fault, column_type, fault_in
from exporter.sources.item import Item
from exporter.workflow import Workflow

# Of one stream. Every row names all of them, so they cost with each row.
MAX_COLUMNS: Final = 500


class RowMaker:
    """`types`: the stream's columns so far; those of rows made here are added."""

    def __init__(self, workflow: Workflow, types: Mapping[str, ColumnType]) -> None:
        self._kind = workflow.settings.kind
        self._key = workflow.key_column
        self._processors = processors_of((one.use, one.type, one.priority) for one in workflow.settings.processors)
        self._types = dict(types)

    def make(self, item: Item) -> Row | Fault:
        """The item's row, or why there is none."""
        if item.fault is not None:
            return item.fault
        row: Row = dict(item.values)
        try:
            row |= self._processors.columns(item.fields)
        except ValueError as error:
            return Fault("bad_field", "fields", str(error))
        if self._kind == "user":
            row = self._processors.person(item.traits, row)
        fault = fault_in(row, self._key, self._types)
        if fault is not None:
            return fault
        fresh = {name: kind for name, kind in types_of(row).items() if name not in self._types}
        if fresh and len(self._types) + len(fresh) > MAX_COLUMNS:
            reason = f"the stream has {MAX_COLUMNS} columns, which is the limit; name the ones it is to have"
            return Fault("too_many_columns", next(iter(fresh)), reason)
        self._types |= fresh
        return row


def types_of(row: Row) -> dict[str, ColumnType]:
    """The type of each column that has a value."""
    return {name: kind for name, value in row.items() if (kind := column_type(value)) is not None}
