"""gunicorn's settings; all numbers come from `brain_cnn.web.settings` (BRAIN_CNN_*)."""

import sys

from brain_cnn.bundle import load_bundle
from brain_cnn.errors import BrainCnnError
from brain_cnn.web.settings import Settings

try:
    settings = Settings.from_env()
    # Checked here too, in the master: a worker that cannot start would be started for ever.
    load_bundle(settings.model_path)
except BrainCnnError as error:
    sys.exit(f"Brain CNN cannot start: {error}")

wsgi_app = "app:app"
bind = settings.bind
workers = settings.worker_count
threads = settings.threads
worker_class = "gthread"
timeout = settings.timeout_s
graceful_timeout = 20
keepalive = 5

# Each worker loads the model itself, after the fork: inference engines do not survive one.
preload_app = False
# Old workers are replaced now and then, not all at once.
max_requests = 20_000
max_requests_jitter = 4_000
# The heartbeat file belongs in memory; the control socket wants a writable home, which a
# read-only container does not have.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True

# No address, no query and no file name: enough to see load and errors.
accesslog = "-"
access_log_format = "%(t)s %(m)s %(U)s %(s)s %(B)s bytes %(M)s ms"


def on_starting(server):
    """Print the settings once, as the process starts."""
    server.log.info(settings.describe())
