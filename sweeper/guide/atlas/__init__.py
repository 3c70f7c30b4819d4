"""One page from many studies: which rules hold in scopes they were not derived from, and what a new one may expect."""
