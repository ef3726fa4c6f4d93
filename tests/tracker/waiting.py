"""Waiting for what a page says."""

from __future__ import annotations

from playwright.sync_api import Page


def wait_until(page: Page, expression: str, seconds: int = 60) -> None:
    """Until the JavaScript `expression`, or what its promise becomes, holds.

    To `Page.wait_for_function` every promise holds, and it needs eval, which a page's policy may forbid.
    """
    for _ in range(seconds * 20):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not reached in {seconds} s: {expression}")
