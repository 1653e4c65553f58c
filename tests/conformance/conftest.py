"""Collects what the tests find, and writes the page of it."""

import pytest

pytest.register_assert_rewrite("conformance.judges")
