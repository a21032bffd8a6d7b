"""Runs a provider as a plugin: a gRPC server whose port goes to standard output, as the engine expects."""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf import struct_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from devcluster.plugins.errors import InitFailedError, PluginError

if TYPE_CHECKING:
    from devcluster.plugins.provider import LocalProvider

_PARENT_POLL = 2.0  # seconds


class Engine:
    """The engine that started this plugin: takes log lines, and may cancel what is under way."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(
            grpc.aio.insecure_channel(address, options=_GRPC_CHANNEL_OPTIONS)
        )
        self._running: set[asyncio.Task[Any]] = set()

    async def log(self, urn: str, line: str, severity: Any = engine_pb2.INFO) -> None:
        """A line in the user's terminal, under the resource."""
        request = engine_pb2.LogRequest(severity=severity, urn=urn, message=line)
        await self._stub.Log(request)

    async def run(self, operation: Awaitable[Any]) -> Any:
        """Awaits an operation that `cancel` can end."""
        task = asyncio.ensure_future(operation)
        self._running.add(task)
        try:
            return await task
        finally:
            self._running.discard(task)

    def cancel(self) -> None:
        """Cancels every operation under way."""
        for task in self._running:
            task.cancel()


class _Errors(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Turns exceptions into statuses that the engine knows; gRPC itself would say only "Unexpected …"."""

    def __init__(self, engine: Engine, provider: "type[LocalProvider]") -> None:
        self._engine = engine
        self._provider = provider

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def call(request: Any, context: Any) -> Any:
            operation = handler.unary_unary(request, context)
            if details.method.endswith("/Cancel"):
                return await operation
            try:
                return await self._engine.run(operation)
            except InitFailedError as error:
                await self._told(request, error)  # the engine itself writes "1 error occurred" here
                await context.abort_with_status(_init_failed(request, error))
            except PluginError as error:
                await context.abort(grpc.StatusCode.UNKNOWN, await self._told(request, error))
            except NotImplementedError as error:
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
            except asyncio.CancelledError:
                await context.abort(grpc.StatusCode.CANCELLED, "cancelled")
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                traceback.print_exc()
                await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    async def _told(self, request: Any, error: PluginError) -> str:
        """The message as the published plugin tells it: one of Terraform's says it in the log before."""
        urn = getattr(request, "urn", "")
        if not self._provider.bridged or not urn:
            return str(error)
        source = f"provider={self._provider.name}@{self._provider.version()}"
        line = f"  sdk-v2/provider2.go:572: sdk.helper_schema: {error}: {source}"
        await self._engine.log(urn, line, engine_pb2.ERROR)
        return f"1 error occurred:\n\t* {error}\n\n"


def _init_failed(request: Any, error: InitFailedError) -> Any:
    """The status by which the engine keeps a resource that exists but is not ready (provider.proto)."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id,
        properties=PropertyValue.marshal_map(error.outputs),
        reasons=[str(error)],
        inputs=getattr(request, "news", None) or getattr(request, "properties", struct_pb2.Struct()),
    )
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=str(error))
    status.details.add().Pack(detail)
    return _Status(code, str(error), (("grpc-status-details-bin", status.SerializeToString()),))


class _Status(grpc.Status):  # type: ignore[misc]
    def __init__(self, code: grpc.StatusCode, details: str, trailing_metadata: Any) -> None:
        self.code, self.details, self.trailing_metadata = code, details, trailing_metadata


def main(provider: "type[LocalProvider]", address: str) -> None:
    """Serves the provider until the engine at that address ends it, or the fork server is gone."""
    parent = os.getppid()

    async def serve() -> None:
        engine = Engine(address)
        server = grpc.aio.server(interceptors=[_Errors(engine, provider)], options=_GRPC_CHANNEL_OPTIONS)
        servicer = ProviderServicer([], provider.version(), provider(engine), address)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):  # how the engine ends a plugin
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        while os.getppid() == parent and not ended.is_set():  # it goes with its engine
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _PARENT_POLL)
        await server.stop(grace=None)

    asyncio.run(serve())
