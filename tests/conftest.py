"""What holds for all tests: how hypothesis searches, and that CI skips nothing."""

import os

import pytest
from hypothesis import settings

# Fixtures with a real control plane, which is started only for those who ask for it.
pytest_plugins = ["tests.cluster.harness.fixtures"]

# Real processes share the machine, so how long one example takes says nothing about the code.
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=False)
settings.register_profile(
    "soak", settings.get_profile("ci"), max_examples=2_000, stateful_step_count=100
)
# `--hypothesis-profile=soak` comes later, and wins.
settings.load_profile("ci")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skipped test is a check that was not made; on a desk that may be, in CI it fails."""
    if os.environ.get("CI") and (skipped := terminalreporter.stats.get("skipped")):
        terminalreporter.section("skipped, which CI does not allow", red=True)
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
