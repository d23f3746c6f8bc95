"""One slice or study -> what the model says of it: bundle, engines, classifier, calibration.

May import `scan`, `ood`, `explain` and the ground; never training, evaluation or the web.
"""
