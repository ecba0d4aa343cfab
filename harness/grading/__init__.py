"""The generic part of the harness: it starts, watches, asks and ends clusters, and turns checks into a checklist."""
