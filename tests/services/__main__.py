"""`python -m tests.services` tells the installer beside it the provider, Kafka's version, the browser's path."""

from tests.services.chromium import installed_chromium
from tests.services.images import kafka_version
from tests.services.provider import NoProvider, provider

try:
    print(provider(), kafka_version(), installed_chromium() or "")
except NoProvider as error:
    raise SystemExit(f"tests/services: {error}") from None
