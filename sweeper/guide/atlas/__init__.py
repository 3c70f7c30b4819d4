"""Many studies to one page: which rules hold in scopes they were not made from, and what to expect in a new one."""
