"""Where a workflow's items come from: files, our own profiles, the event log."""
