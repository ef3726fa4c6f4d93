"""`trackway export`: scheduled exports, API and console."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from eventlog.proxies import Proxies
from exporter.app import AdminApp, SenderInfo, create_admin_app
from exporter.console.auth import SignIn, load_or_make_token
from exporter.schedule import schedule
from exporter.store import Store
from trackway.printing import say
from trackway.process import all_of, listening
from trackway.serving import address_of, serve, stopping
from trackway.settings import ConfigError, Settings
from trackway.stores import opened_store

ADMIN_LISTEN: Final = "127.0.0.1:8081"


async def export(settings: Settings) -> None:
    """Run scheduled exports, API and console until TERM or INT."""
    with listening(settings.admin.listen or ADMIN_LISTEN) as sock:
        address = f"http://{address_of(sock)}"
        async with opened_store(settings) as store, stopping() as stop:
            sign_in = open_sign_in(settings)
            async with opened_admin(settings, store, sign_in, public_address(settings)) as app:
                say(f"Ready: {address} (exports, API, console, store: {store.dialect})")
                if not settings.admin.token.get_secret_value():
                    say(f"Console: {sign_in.sign_in_link(address)}")
                exports = schedule(settings, store, stop, ended=app.state.ended)
                await all_of([serve(app, sock, stop, settings.drain_time, settings.connections), exports])


@contextlib.asynccontextmanager
async def opened_admin(settings: Settings, store: Store, sign_in: SignIn, public: str) -> AsyncIterator[AdminApp]:
    """API, console and metrics. `public` is where the collector is."""
    senders = [
        SenderInfo(name, source.browser_key or "", tuple(source.origins), public, settings.tracker.scripts[0])
        for name, source in settings.sources.items()
    ]
    proxies = Proxies(settings.trusted_proxies, settings.proxy_header)
    app = create_admin_app(settings, store, sign_in=sign_in, senders=senders, proxies=proxies)
    try:
        yield app
    finally:
        await app.close()


def open_sign_in(settings: Settings) -> SignIn:
    """Who may look. Raises ConfigError where a token is needed and not set."""
    try:
        token = load_or_make_token(settings)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return SignIn(token, settings.secret.get_secret_value())


def public_address(settings: Settings) -> str:
    """Where browsers reach the collector: as set, else as far as this process can tell."""
    return settings.public_url or f"http://{settings.listen}"
