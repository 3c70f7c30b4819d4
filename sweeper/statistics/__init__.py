"""The statistics of a guide on plain arrays: no records, no words. scipy and statsmodels do the work.

Shapes: C configurations, S seeds; `y_CS` is a log objective, lower is better, NaN where there is no measurement.
"""
