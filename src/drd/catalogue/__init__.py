"""A local cache of what the bucket holds, in SQLite. It can be deleted at any time."""
