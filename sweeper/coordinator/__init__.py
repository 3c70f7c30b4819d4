"""Who decides: one process owns search and record, hands out cohorts and judges them."""
