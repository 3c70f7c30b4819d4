"""The coordinator: one process that owns search and record, hands out cohorts and judges them."""
