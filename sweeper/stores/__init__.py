"""Databases of records: creating SQLite files atomically, and retrying while a store does not answer."""
