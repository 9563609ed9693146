"""One edge host: its spool and its engine."""
