"""An SSH server on loopback that runs what it is told in a shell, as a NAS would."""

import asyncio
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import asyncssh


@contextmanager
def ssh_server():
    """Gives its port and host key, another key, and the private key that it lets in."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))

    async def shell(process):
        child = await asyncio.create_subprocess_shell(
            process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", **process.env},
        )
        out, err = await child.communicate((await process.stdin.read()).encode())
        process.stdout.write(out.decode())
        process.stderr.write(err.decode())
        process.exit(child.returncode)

    async def start():
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(user_key.export_public_key().decode()),
            process_factory=shell,
        )

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    yield SimpleNamespace(
        port=server.get_port(),
        host_key=host_key.export_public_key().decode().strip(),
        other_key=user_key.export_public_key().decode().strip(),
        private_key=user_key.export_private_key().decode(),
    )
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
