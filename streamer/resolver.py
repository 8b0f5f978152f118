"""Looks host names up for the control process, each with a deadline, on threads of its own.

In: host and port. Out: one IP address, or `SourceOpenError("dns")`. A look-up cannot be cancelled,
so one that misses its deadline leaves its thread behind until the operating system gives up (10 s
measured, M4); such threads are few and counted, and a name that hangs never takes a second one.
Invariant: neither the event loop nor its default executor ever waits for a name server.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence

from streamer.errors import SourceOpenError

Lookup = Callable[[str, int], Sequence[str]]


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of `host` in the system's order; blocks; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Resolver:
    """Bounded name resolution; belongs to one event loop.

    Args:
        lookup: the blocking look-up; called on a daemon thread `resolver:<host>`.
        n_threads: look-ups at one time, those past their deadline included.
    """

    def __init__(self, lookup: Lookup = look_up, n_threads: int = 16) -> None:
        self._lookup = lookup
        self._n_threads = n_threads
        self._slots = asyncio.Semaphore(n_threads)
        self._running: dict[tuple[str, int], asyncio.Future[str]] = {}
        self._overdue: set[tuple[str, int]] = set()

    @property
    def n_overdue(self) -> int:
        """How many look-ups are past their deadline and still hold a thread."""
        return len(self._overdue)

    async def resolve(self, host: str, port: int, timeout_s: float) -> str:
        """Return an address of `host`; IP addresses and localhost are returned as they are.

        Args:
            host: name or IP address.
            port: TCP port.
            timeout_s: deadline, waiting for a free thread included.

        Raises:
            SourceOpenError: kind dns; the name has no address, no answer came in time, or every
            thread hangs.
        """
        if _needs_no_lookup(host):
            return host
        key = (host, port)
        if key not in self._running and len(self._overdue) >= self._n_threads:
            raise SourceOpenError(
                "dns",
                f"host {host} is not looked up, since {self.n_overdue} look-ups hang; "
                "check the name server",
            )
        try:
            async with asyncio.timeout(timeout_s):
                # Shielded: the thread goes on, and whoever asks for the same name next shares its
                # answer.
                return await asyncio.shield(await self._answer(key))
        except TimeoutError:
            if key in self._running:
                self._overdue.add(key)
            raise SourceOpenError(
                "dns", f"host {host} was not resolved within {timeout_s:g} s; check the name server"
            ) from None
        except OSError as err:
            reason = err.strerror or type(err).__name__
            raise SourceOpenError(
                "dns",
                f"host {host} has no address ({reason}); check its spelling and the name server",
            ) from None

    async def _answer(self, key: tuple[str, int]) -> asyncio.Future[str]:
        if key not in self._running:
            await self._slots.acquire()
            if key in self._running:
                # Somebody else began the same look-up meanwhile.
                self._slots.release()
            else:
                self._start(key)
        return self._running[key]

    def _start(self, key: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        # Nobody may be left to take the error of an overdue look-up.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._running[key] = answer

        def work() -> None:
            address, error = self._ask(*key)
            try:
                loop.call_soon_threadsafe(self._done, key, address, error)
            except RuntimeError:
                # The loop has closed: the process is about to end and nobody waits.
                return

        threading.Thread(target=work, name=f"resolver:{key[0]}", daemon=True).start()

    def _ask(self, host: str, port: int) -> tuple[str, OSError | None]:
        try:
            return _preferred(self._lookup(host, port)), None
        except OSError as err:
            return "", err
        except UnicodeError:
            return "", OSError(0, "not a valid host name")

    def _done(self, key: tuple[str, int], address: str, error: OSError | None) -> None:
        answer = self._running.pop(key)
        self._overdue.discard(key)
        self._slots.release()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(address)


def _needs_no_lookup(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _preferred(addresses: Sequence[str]) -> str:
    """Choose IPv4 where there is one: many cameras announce IPv6 and serve RTSP over IPv4 only."""
    if not addresses:
        raise OSError(0, "no address")
    return next((address for address in addresses if ":" not in address), addresses[0])
