"""gunicorn's settings; all numbers come from `brain_cnn.web.settings` (BRAIN_CNN_*)."""

import contextlib
import resource
import sys

from brain_cnn.errors import BrainCnnError
from brain_cnn.inference.bundle import load_bundle
from brain_cnn.inference.engines import check_engine
from brain_cnn.web.runtime import shared_metrics
from brain_cnn.web.runtime.logs import WithoutAddress, gunicorn_logging
from brain_cnn.web.runtime.memory import give_memory_back
from brain_cnn.web.settings import Settings

try:
    settings = Settings.from_env()
    # Checked here too, in the master: a worker that cannot start would be started for ever.
    check_engine(load_bundle(settings.model_path), settings.engine)
    _ = settings.token
except BrainCnnError as error:
    sys.exit(f"Brain CNN cannot start: {error}")

# Not app.py: an installed package has none.
wsgi_app = "brain_cnn.web:create_app()"
bind = settings.bind
workers = settings.worker_count
threads = settings.thread_count
# gthread, with requests collected in the event loop: slow clients hold no thread.
worker_class = "brain_cnn.web.runtime.worker.PatientWorker"
worker_connections = 4096
timeout = settings.timeout_s
graceful_timeout = 20
keepalive = 5
backlog = 1024

# Each worker loads the model itself, after the fork: inference engines do not survive one.
preload_app = False
# Old workers are replaced now and then, not all at once.
max_requests = 100_000
max_requests_jitter = 20_000
# The heartbeat file belongs in memory; the control socket wants a writable home, which a
# read-only container does not have.
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn makes an unnamed file in it
control_socket_disable = True

# Whose X-Forwarded-Proto is believed. Nobody's, unless BRAIN_CNN_PROXIES says that one is in
# front; then ProxyFix reads the headers, and counts from the right end of the list.
forwarded_allow_ips = ""

# The application writes a line for each request, with an id and without an address.
accesslog = None
if settings.log_format == "json":
    logconfig_dict = gunicorn_logging()

# Numbers of all workers, in memory; before any worker imports prometheus_client.
shared_metrics.set_up()

# Of this process, and so of its workers, however it was started.
give_memory_back()

# A thousand slow clients are a thousand open files.
with contextlib.suppress(ValueError, OSError):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def on_starting(server):
    """Print the settings once, as the process starts."""
    server.log.info(settings.describe())
    server.log.info(
        "%d workers, each judges %d requests at once, %d wait, %d threads",
        workers,
        settings.slot_count,
        settings.queue_waiting,
        threads,
    )


def post_fork(server, worker):
    """Keep addresses and messages, which may name a person, out of gunicorn's own log."""
    server.log.error_log.addFilter(WithoutAddress())


def child_exit(server, worker):
    """Keep the counts of a worker that is gone."""
    shared_metrics.forget_process(worker.pid)


def on_exit(server):
    """Remove the numbers."""
    shared_metrics.tear_down()
