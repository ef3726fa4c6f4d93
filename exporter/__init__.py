"""The log becomes sessions and profiles; the CDP gets its rows; people get their pages."""
