"""What runs around a request: the queue, logs, metrics, and the gunicorn worker.

May import `inference` and the ground; never a view or a presenter.
"""
