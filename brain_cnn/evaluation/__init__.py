"""How good the model is, measured: metrics, other scanners, heatmaps, figures and tables.

May import `inference`, `dataset`, `explain`, `ood`, `scan` and the ground; never the web.
"""
