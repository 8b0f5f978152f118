"""Claims about streamer.link: notes survive any cutting of the stream, bad bytes are told."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import LinkError
from streamer.link import MAX_NOTE_BYTES, Framer, ParentLink, enter_child, pack
from streamer.notes import CloseCamera, Counters, Heartbeat, OpenOrder, Stop

Order = OpenOrder | CloseCamera | Stop

notes = st.lists(
    st.one_of(
        st.builds(OpenOrder, camera=st.text(max_size=20), address=st.text(max_size=300)),
        st.builds(CloseCamera, camera=st.text(max_size=20)),
        st.just(Stop()),
    ),
    max_size=20,
)


@given(notes, st.lists(st.integers(1, 50), min_size=1))
def test_notes_survive_any_cutting_of_the_stream(sent: list[Order], cuts: list[int]) -> None:
    """Whatever pieces the socket delivers, the same notes come out in the same order."""
    stream = b"".join(pack(note) for note in sent)
    framer: Framer[Order] = Framer(Order)
    received: list[Order] = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        piece, stream = stream[:size], stream[size:]
        received += framer.feed(piece)
        turn += 1
    assert received == sent


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((MAX_NOTE_BYTES + 1).to_bytes(4, "big"), "at most 1 MiB"),
        (b"\xff\xff\xff\xff", "at most 1 MiB"),
        (b"\x00\x00\x00\x02{}", "not a message"),
        (b"\x00\x00\x00\x00", "not a message"),
        (pack(Heartbeat(sent_at=0.0, cpu_s=0.0)), "not a message"),
    ],
)
def test_what_is_no_note_of_this_link_is_refused(data: bytes, says: str) -> None:
    """Too large, not msgpack, empty, and a note that belongs to another link."""
    framer: Framer[Order] = Framer(Order)
    with pytest.raises(LinkError, match=says):
        framer.feed(data)


def test_a_note_that_is_too_large_is_not_sent() -> None:
    """The limit holds on both ends."""
    with pytest.raises(LinkError, match="OpenOrder of 1048"):
        pack(OpenOrder(camera="x" * MAX_NOTE_BYTES))


@pytest.fixture
def pair() -> Iterator[tuple[ParentLink[Order], socket.socket]]:
    """A child's link and the parent's socket."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    with ours, ParentLink[Order](theirs.detach(), Order) as link:
        yield link, ours


def read_all(ours: socket.socket, n: int) -> list[Heartbeat]:
    framer: Framer[Heartbeat] = Framer(Heartbeat)
    received: list[Heartbeat] = []
    while len(received) < n:
        received += framer.feed(ours.recv(65536))
    return received


def test_receiving_ends_with_the_link(pair: tuple[ParentLink[Order], socket.socket]) -> None:
    """Everything sent before the end is still delivered, then the iteration is over."""
    link, ours = pair
    sent = [CloseCamera(camera="a"), Stop()]
    ours.sendall(b"".join(pack(note) for note in sent))
    ours.close()
    assert list(link.receive()) == sent


def test_sending_to_a_parent_that_is_gone_is_an_error(
    pair: tuple[ParentLink[Order], socket.socket],
) -> None:
    """The child learns it by its next note."""
    link, ours = pair
    ours.close()
    with pytest.raises(LinkError, match="the control process is gone"):
        link.send(Stop())


def test_notes_of_many_threads_do_not_mix(pair: tuple[ParentLink[Order], socket.socket]) -> None:
    """Readers and the heartbeat share one link: every note arrives whole."""
    link, ours = pair
    counters = {f"camera{n}": Counters(decoded=n) for n in range(200)}

    def send() -> None:
        for _ in range(25):
            link.send(Heartbeat(sent_at=1.0, cpu_s=2.0, counters=counters))

    threads = [threading.Thread(target=send, name=f"sender:{n}") for n in range(4)]
    for thread in threads:
        thread.start()
    received = read_all(ours, 100)
    for thread in threads:
        thread.join()
    assert all(note.counters == counters for note in received)


def test_the_heart_beats_with_counts_until_the_link_is_closed(
    pair: tuple[ParentLink[Order], socket.socket],
) -> None:
    """A named thread, increasing instants, the counts of the moment; it ends with the link."""
    link, ours = pair
    turns = iter(range(1000))
    link.start_heartbeat("test", 0.01, lambda: {"door": Counters(decoded=next(turns))})
    assert "heartbeat:test" in {thread.name for thread in threading.enumerate()}
    beats = read_all(ours, 3)
    assert [beat.counters["door"].decoded for beat in beats] == [0, 1, 2]
    assert beats[0].sent_at < beats[1].sent_at < beats[2].sent_at
    link.close()
    assert "heartbeat:test" not in {thread.name for thread in threading.enumerate()}


def test_the_link_knows_who_made_it(pair: tuple[ParentLink[Order], socket.socket]) -> None:
    """The kernel names the process at the other end: the one whose death ends the child."""
    assert pair[0].parent_pid == os.getpid()


@pytest.mark.parametrize("argv", [[], ["--fd"], ["--fd", "x"], ["--help"], ["--fd", "3", "4"]])
def test_a_person_who_starts_a_child_is_told_what_to_do(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and exit code 2."""
    with pytest.raises(SystemExit) as caught:
        enter_child(Order, argv)
    assert caught.value.code == 2
    assert "bresnet --help" in capsys.readouterr().err
