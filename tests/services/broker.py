"""How the tests' Kafka brokers are configured, wherever they run; and the certificates of the secure one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

USER: Final = "trackway"
# With characters that URLs and the broker's configuration quote differently.
PASSWORD: Final = "p@ss word/1"
# A user who may do what nothing forbids; the first one may do everything.
GUEST: Final = "guest"
CLUSTER_ID: Final = "dHJhY2t3YXktdGVzdHMtMQ"
# What the broker says when it serves; its open port is a little too early.
STARTED: Final = b"Kafka Server started"
# The heap first; the first compiler tier and the serial collector: a test's broker lives too briefly for more to pay.
JVM_OPTIONS: Final = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id={at.node}
controller.quorum.voters={voters}
listeners={name}://{at.bind}:{at.port},CONTROLLER://127.0.0.1:{at.controller}
advertised.listeners={name}://{at.host}:{at.port}
controller.listener.names=CONTROLLER
inter.broker.listener.name={name}
listener.security.protocol.map={name}:{name},CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=5
min.insync.replicas={in_step}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_step}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_step}
"""
_SECURE: Final = """\
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
sasl.mechanism.inter.broker.protocol=PLAIN
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={keystore}
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
username="{user}" password="{password}" user_{user}="{password}" user_{guest}="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{user};User:ANONYMOUS
allow.everyone.if.no.acl.found=true
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class Address(NamedTuple):
    """Where a broker listens: `bind` for itself, `host` for its clients. `node` is its number."""

    bind: str
    host: str
    port: int
    controller: int
    node: int = 1


class Certificates(NamedTuple):
    """PEM files: key and certificate for the broker, what its clients must trust."""

    keystore: Path
    ca: Path


def server_properties(at: Address, data: str, keystore: str | None = None, among: Sequence[Address] = ()) -> str:
    """`server.properties` of one node, broker and controller, alone or one of `among`; with a keystore it speaks SASL
    over TLS only."""
    nodes = among or (at,)
    text = _PROPERTIES.format(
        at=at,
        name="SASL_SSL" if keystore else "PLAINTEXT",
        data=data,
        voters=",".join(f"{one.node}@127.0.0.1:{one.controller}" for one in nodes),
        copies=min(3, len(nodes)),
        in_step=min(2, (len(nodes) + 1) // 2),
    )
    return text + (_SECURE.format(keystore=keystore, user=USER, guest=GUEST, password=PASSWORD) if keystore else "")


def scram_options() -> list[str]:
    """What the format command needs so that the user can sign in by SCRAM."""
    return ["--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"]


def make_certificates(folder: Path, host: str) -> Certificates:
    """A self-signed certificate for `host`, valid for a week."""
    key, ca, keystore = folder / "key.pem", folder / "ca.pem", folder / "keystore.pem"
    kind = "IP" if host.replace(".", "").isdigit() else "DNS"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=trackway-tests"]
    command += ["-addext", f"subjectAltName={kind}:{host}", "-keyout", str(key), "-out", str(ca)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    keystore.write_text(key.read_text() + ca.read_text())
    return Certificates(keystore, ca)


def url_of(
    at: Address, certificates: Certificates | None, mechanism: str, password: str | None = None, user: str = USER
) -> str:
    """The log URL of the broker."""
    if certificates is None:
        return f"kafka://{at.host}:{at.port}"
    credentials = f"{user}:{quote(password or PASSWORD, safe='')}"
    return f"kafka+ssl://{credentials}@{at.host}:{at.port}?sasl_mechanism={mechanism}&ca={quote(str(certificates.ca))}"
