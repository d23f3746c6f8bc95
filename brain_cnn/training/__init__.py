"""From a data set to a bundle: network, fit loop, calibration, export.

May import everything but `render`, `batch` and the web.
"""
