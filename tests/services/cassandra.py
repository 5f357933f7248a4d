"""One Cassandra node."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from cassandra import DriverException, OperationTimedOut
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import RoundRobinPolicy

from tests.services.artifacts import artifacts, java
from tests.services.ports import listens
from tests.services.server import Server

_HEAP = "1g"
_EXPORTS = {
    "java.base": ["java.lang.ref", "jdk.internal.misc"],
    "java.management.rmi": ["com.sun.jmx.remote.internal.rmi"],
    "java.rmi": ["sun.rmi.registry", "sun.rmi.server"],
    "java.sql": ["java.sql"],
    "jdk.unsupported": ["sun.misc"],
}
_OPENS = {
    "java.base": [
        "java.io", "java.lang", "java.lang.module", "java.lang.reflect", "java.util", "jdk.internal.loader",
        "jdk.internal.math", "jdk.internal.module", "jdk.internal.ref", "jdk.internal.reflect",
        "jdk.internal.util.jar", "sun.nio.ch",
    ],
    "jdk.management": ["com.sun.management.internal"],
}  # fmt: skip
"""Java's inner packages that Cassandra uses; without them it does not start, or works more slowly."""
_LOGBACK = """<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level %logger{20} %msg%n</pattern></encoder>
  </appender>
  <logger name="org.apache.cassandra.service.StartupChecks" level="ERROR"/>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
"""


class Cassandra(Server):
    """Cassandra with the defaults that users get: batches over 5 KiB are warned of, over 50 KiB refused.

    Writes are acknowledged before they are on the disk. Of those acknowledged in the last moments before `kill()` some
    may be lost; with `settings={"commitlog_sync": "batch"}` none are.

    Args:
        folder: see `Server`.
        port: see `Server`.
        authenticated: whether clients have to log in; there is the role `cassandra` with the password `cassandra`,
            which may do everything.
        settings: of `cassandra.yaml`, over those below; one that is None is left out. With `client_encryption_options`
            the connections are encrypted.
        quick: see `Server`.
    """

    name: ClassVar[str] = "Cassandra"
    host: ClassVar[str] = "127.0.0.1"
    _inner_count: ClassVar[int] = 1

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        authenticated: bool = False,
        settings: Mapping[str, object] | None = None,
        quick: bool = False,
    ) -> None:
        super().__init__(folder, port, quick)
        self._authenticated = authenticated
        self._settings = dict(settings or {})

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that may do everything, for as long as the block lasts."""
        profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=60)
        options: dict[str, Any] = {"execution_profiles": {EXEC_PROFILE_DEFAULT: profile}}
        if self._authenticated:
            options["auth_provider"] = PlainTextAuthProvider("cassandra", "cassandra")
        if "client_encryption_options" in self._settings:
            options["ssl_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            options["ssl_context"].check_hostname = False
            options["ssl_context"].verify_mode = ssl.CERT_NONE
        cluster = Cluster([self.host], self.port, connect_timeout=20, **options)
        try:
            yield cluster.connect()
        finally:
            cluster.shutdown()

    def _prepare(self) -> None:
        (storage_port,) = self._inner
        yaml: dict[str, object] = {
            "cluster_name": "ad-streams",
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "num_tokens": 16,
            "listen_address": self.host,
            "rpc_address": self.host,
            "storage_port": storage_port,
            "native_transport_port": self.port,
            "seed_provider": [
                {
                    "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                    "parameters": [{"seeds": f"{self.host}:{storage_port}"}],
                }
            ],
            "endpoint_snitch": "SimpleSnitch",
            # A dropped keyspace leaves nothing behind.
            "auto_snapshot": False,
        }
        if "commitlog_sync" not in self._settings:
            yaml |= {"commitlog_sync": "periodic", "commitlog_sync_period": "10000ms"}
        if self._authenticated:
            yaml |= {"authenticator": "PasswordAuthenticator", "authorizer": "CassandraAuthorizer"}
        yaml |= self._settings
        # JSON is YAML too.
        (self.folder / "cassandra.yaml").write_text(
            json.dumps({name: value for name, value in yaml.items() if value is not None}, indent=1)
        )
        (self.folder / "triggers").mkdir(exist_ok=True)
        (self.folder / "logback.xml").write_text(_LOGBACK)

    def _command(self) -> list[str]:
        jars = artifacts("cassandra")
        (agent,) = jars.glob("jamm-*.jar")
        properties = {
            "cassandra.config": (self.folder / "cassandra.yaml").as_uri(),
            "cassandra.storagedir": self.folder,
            "cassandra-foreground": "yes",
            # One node has nobody to wait for.
            "cassandra.ring_delay_ms": 100,
            "cassandra.skip_wait_for_gossip_to_settle": 0,
            "cassandra.superuser_setup_delay_ms": 0,
            "cassandra.shutdown_announce_in_ms": 0,
            "cassandra.triggers_dir": self.folder / "triggers",
            "logback.configurationFile": self.folder / "logback.xml",
            "java.io.tmpdir": self.folder,
            "jna.tmpdir": self.folder,
            "file.encoding": "UTF-8",
            "java.security.manager": "allow",
            "jdk.attach.allowAttachSelf": "true",
            "io.netty.tryReflectionSetAccessible": "true",
        }
        modules = [("--add-exports", _EXPORTS), ("--add-opens", _OPENS)]
        return [
            java(),
            *self._java_options,
            # As Cassandra's own start script has it, and in large pages where they are to be had; in a quick one the
            # heap grows as it is needed.
            *([] if self._quick else [f"-Xms{_HEAP}", "-XX:+AlwaysPreTouch"]),
            f"-Xmx{_HEAP}",
            "-XX:+UseG1GC",
            "-XX:+PerfDisableSharedMem",
            "-XX:+UseTransparentHugePages",
            "-XX:+ExitOnOutOfMemoryError",
            f"-javaagent:{agent}",
            *(f"-D{name}={value}" for name, value in properties.items()),
            *(
                f"{option}={module}/{package}=ALL-UNNAMED"
                for option, packages in modules
                for module, names in packages.items()
                for package in names
            ),
            "-cp",
            f"{jars}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        ]

    def _answers(self) -> bool:
        # The port opens last; without it the driver would write about every try.
        if not listens(self.port):
            return False
        try:
            with self.session() as session:
                return bool(session.execute("SELECT release_version FROM system.local"))
        except (NoHostAvailable, OperationTimedOut, DriverException):
            return False
