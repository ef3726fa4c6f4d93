"""How to reach Kafka: the log's URL as aiokafka's options.

`kafka://[user:password@]host:9092[,host2:9092]` speaks plain text, `kafka+ssl://…` TLS. Query parameters:
`sasl_mechanism` (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; default PLAIN when a user is named), `ca` (a PEM file of the
authority that signed the brokers' certificates; default the system's).
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from eventlog.settings import LogSettings

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def connection_options(settings: LogSettings) -> dict[str, Any]:
    """Options for every aiokafka client. Raises ValueError, without the password, where the URL cannot be used."""
    url = urlsplit(settings.log)
    credentials, _, hosts = url.netloc.rpartition("@")
    if not hosts:
        raise ValueError("log: names no broker; write kafka://host:9092")
    query = dict(parse_qsl(url.query))
    secure = url.scheme == "kafka+ssl"
    options: dict[str, Any] = {"bootstrap_servers": hosts.split(","), "client_id": "trackway"}
    user, _, password = credentials.partition(":")
    mechanism = query.pop("sasl_mechanism", "PLAIN" if user else "")
    ca = query.pop("ca", None)
    if query:
        raise ValueError(f"log: unknown parameter {sorted(query)[0]!r}; there are sasl_mechanism and ca")
    if mechanism:
        if mechanism not in _MECHANISMS:
            raise ValueError(f"log: sasl_mechanism must be one of {', '.join(_MECHANISMS)}")
        options |= {
            "sasl_mechanism": mechanism,
            "sasl_plain_username": unquote(user),
            "sasl_plain_password": unquote(password),
        }
    if secure:
        try:
            options["ssl_context"] = ssl.create_default_context(cafile=ca)
        except OSError:
            raise ValueError(f"log: ca: {ca} is no file of certificates that can be read") from None
    name = ("SASL_" if mechanism else "") + ("SSL" if secure else "PLAINTEXT")
    return options | {"security_protocol": name}
