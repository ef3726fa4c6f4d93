"""The real services the tests run against, started by the tests themselves: as containers of compose.yml's images where
Docker runs, else as processes of this machine (see provider.py). The browsers and Node.js are always this machine's.
"""

from tests.services.chromium import find_chromium
from tests.services.firefox import find_firefox
from tests.services.kafka import Kafka, start_kafka
from tests.services.missing import MissingService
from tests.services.postgres import Postgres, start_postgres

__all__ = ["Kafka", "MissingService", "Postgres", "find_chromium", "find_firefox", "start_kafka", "start_postgres"]
