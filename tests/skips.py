"""Skips are counted at the end of a run; where CI is set, one without a good reason fails it.

A promise that is not tested is not kept. The only good reason is what a machine cannot have:
the real images, which are not in the repository.
"""

import os

import pytest

from tests.realdata import NO_REAL_DATA, REAL_DATA


def reason_of(report):
    """Return why a test or a file was skipped."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def is_good(reason):
    return REAL_DATA is None and reason.startswith(NO_REAL_DATA)


def skipped_for_no_good_reason(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return [report for report in reports if not is_good(reason_of(report))]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    if os.environ.get("CI") and exitstatus == 0 and skipped_for_no_good_reason(session):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    bad = skipped_for_no_good_reason(terminalreporter._session)
    if not skipped:
        return
    terminalreporter.section("skips")
    terminalreporter.line(f"{len(skipped)} skipped, {len(bad)} of them for no good reason.")
    for report in bad:
        terminalreporter.line(f"{report.nodeid}: {reason_of(report)}")
    if bad and os.environ.get("CI"):
        terminalreporter.line("CI is set: this run has failed.", red=True)
