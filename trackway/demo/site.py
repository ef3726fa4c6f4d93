"""The demo as one app: the shop, and under /demo/cdp the stand-in that its exports go to."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from eventlog.security_headers import FOR_PAGES
from trackway.demo.cdp import create_stand_in
from trackway.demo.shop import create_shop
from trackway.serving import WithHeaders
from trackway.settings import ConfigError, Settings


def create_demo(settings: Settings) -> ASGIApp:
    """The demo's pages, sending as the first source that has a browser key. Raises ConfigError without one."""
    keys = [source.browser_key for source in settings.sources.values() if source.browser_key]
    if not keys:
        raise ConfigError(["sources: the demo shop needs a source with a `browser_key`"])
    return Starlette(
        routes=[Mount("/demo/cdp", create_stand_in()), Mount("/", WithHeaders(create_shop(keys[0]), FOR_PAGES))]
    )
