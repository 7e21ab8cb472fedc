"""A provider's process: started, shaken hands with, asked over gRPC on its socket, and ended with us.

The handshake is go-plugin's: the host says who it is by environment variables, the plugin prints one line
`CORE|PROTOCOL|NETWORK|ADDRESS|grpc|…`. Without a client certificate in the environment it serves in plain text, on a
Unix socket in a folder that only this user may enter.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from terrarium.base.clock import real_monotonic
from terrarium.base.diagnostics import Failure
from terrarium.providers.plugin.protocol import Protocol, protocol

COOKIE = {
    # Terraform's plugins refuse to run without it; it keeps people from starting them by mistake.
    "TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
    "PLUGIN_PROTOCOL_VERSIONS": "5,6",
    "PLUGIN_MIN_PORT": "10000",
    "PLUGIN_MAX_PORT": "25000",
}
_START_SECONDS = 60.0


class PluginFailure(Failure):
    """A provider's program can't be started, or has ended."""


class Process:
    """One running plugin. `ask` may be used from several threads."""

    def __init__(self, program: Path) -> None:
        import grpc

        self._program = program
        self._folder = tempfile.mkdtemp(prefix="terrarium-plugin-")
        self._tail: list[str] = []
        environment = {**os.environ, **COOKIE, "PLUGIN_UNIX_SOCKET_DIR": self._folder, "TMPDIR": self._folder}
        environment.pop("PLUGIN_CLIENT_CERT", None)
        try:
            # A group of its own: Ctrl-C is for us, and we tell the plugin.
            self._process = subprocess.Popen(
                [str(program)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise PluginFailure(f"the provider {program} can't be started: {error.strerror}") from None
        threading.Thread(target=self._listen, daemon=True, name=f"log of {program.name}").start()
        try:
            version, address = self._handshake()
        except BaseException:
            self.close()
            raise
        self.protocol: Protocol = protocol(version)
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(address, options=options)

    def _listen(self) -> None:
        """Keeps the last lines of the log, for when it fails; with TF_LOG they go to standard error."""
        stream = self._process.stderr
        assert stream is not None
        loud = bool(os.environ.get("TF_LOG") or os.environ.get("TF_LOG_PROVIDER"))
        for line in stream:
            text = line.decode("utf-8", "replace").rstrip()
            self._tail = [*self._tail[-19:], text]
            if loud:
                os.write(2, line)

    def _handshake(self) -> tuple[int, str]:
        stream = self._process.stdout
        assert stream is not None
        timer = threading.Timer(_START_SECONDS, self._process.kill)
        timer.start()
        try:
            line = stream.readline().decode("utf-8", "replace").strip()
        finally:
            timer.cancel()
        parts = line.split("|")
        if len(parts) < 5 or parts[0] != "1" or parts[4] != "grpc" or parts[1] not in ("5", "6"):
            said = "\n".join(self._tail) or line or "nothing"
            raise PluginFailure(f"{self._program} is no provider that can be used: it said {said}")
        # Whatever else it prints must not block it.
        threading.Thread(target=lambda: [None for _ in stream], daemon=True).start()
        return int(parts[1]), f"unix:{parts[3]}" if parts[2] == "unix" else parts[3]

    def ask(self, call: str, /, **fields: Any) -> Any:
        """One call and its answer. `PluginFailure` when the plugin is gone."""
        import grpc

        path, request, answer = self.protocol.call(call, **fields)
        method = self._channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        try:
            return method(request)
        except grpc.RpcError as error:
            code = error.code()
            if code is grpc.StatusCode.UNAVAILABLE:
                said = "\n".join(self._tail)
                raise PluginFailure(
                    f"the provider {self._program.name} stopped responding to {path}:\n{said}"
                ) from None
            raise PluginFailure(
                f"the provider {self._program.name} answered {path} with {code.name}: {error.details()}"
            ) from None

    def close(self) -> None:
        """Ends the process, gently and then not."""
        if hasattr(self, "_channel"):
            self._channel.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            until = real_monotonic() + 2.0
            try:
                self._process.wait(timeout=max(0.0, until - real_monotonic()))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)
