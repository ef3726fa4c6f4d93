"""`python -m tests.services` tells the installer beside it the provider, Kafka's version, and Debian's packages of the
browsers that are missing."""

from tests.services.chromium import installed_chromium
from tests.services.firefox import installed_firefox
from tests.services.images import kafka_version
from tests.services.provider import NoProvider, provider

browsers = {"chromium": installed_chromium(), "firefox-esr": installed_firefox()}
try:
    print(provider(), kafka_version(), *[package for package, path in browsers.items() if not path])
except NoProvider as error:
    raise SystemExit(f"tests/services: {error}") from None
