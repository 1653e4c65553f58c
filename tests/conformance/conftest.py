"""Collects what the tests find, and writes the page of it where one is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("conformance.judging")


def pytest_addoption(parser):
    parser.addoption("--conformance-page", type=Path, help="write what was found into this file")


def pytest_configure(config):
    page = config.getoption("--conformance-page")
    if page is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(page), "conformance page")


class _Collector:
    """Hears of every test, of other processes too."""

    def __init__(self, path):
        from conformance.page import Findings

        self.path, self.found = path, Findings()

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.skipped:
            why = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
            self.found.add(report.user_properties, report.outcome, why)

    def pytest_terminal_summary(self, terminalreporter):
        from conformance.page import same, written

        if self.found.missing:
            reasons = "; ".join(sorted(set(self.found.missing)))
            terminalreporter.write_line(f"{self.path} is left as it is: {reasons}")
            return
        page = written(self.found)
        if not self.path.is_file() or not same(page, self.path.read_text(encoding="utf-8")):
            self.path.write_text(page, encoding="utf-8")
            terminalreporter.write_line(f"{self.path} is written")
