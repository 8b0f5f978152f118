"""Every record survives the wire, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest

from streamer import notes, worker_notes
from streamer.notes import (
    AddCamera,
    Counters,
    FrameNote,
    FromCapture,
    Heartbeat,
    Lost,
    Note,
    OpenOrder,
    RingSpec,
    StateNote,
    ToCapture,
)
from streamer.worker_notes import FromWorker, Infer, Result, Score, ToWorker, WindowRef

MAX_BYTES = 64 * 1024
RING = RingSpec(path="/dev/shm/bresnet-1-2-door", n_slots=64, size_px=256)
COUNTERS = Counters(decoded=5, used=2, dropped={"rate_limit": 3}, bytes=10)


def sample(kind: type[Note]) -> Note:
    """Return a record of this kind with a value for every field."""
    return msgspec.convert(_fields(kind), kind)


def _fields(kind: Any) -> dict[str, Any]:
    values = {field.name: _value(field.type) for field in msgspec.structs.fields(kind)}
    tag = kind.__struct_config__.tag
    return values if tag is None else {"type": tag, **values}


def _value(annotation: Any) -> Any:
    return _by_info(msgspec.inspect.type_info(annotation))


def _by_info(info: Any) -> Any:
    make: dict[str, Callable[[], Any]] = {
        "StrType": lambda: "x",
        "IntType": lambda: 3,
        "FloatType": lambda: 0.5,
        "BoolType": lambda: True,
        "BytesType": lambda: b"x",
        "LiteralType": lambda: info.values[0],
        "UnionType": lambda: _by_info(info.types[0]),
        "ListType": lambda: [_by_info(info.item_type)],
        "VarTupleType": lambda: (_by_info(info.item_type),),
        "DictType": lambda: {_by_info(info.key_type): _by_info(info.value_type)},
        "StructType": lambda: _fields(info.cls),
    }
    return make[type(info).__name__]()


def kinds(union: Any) -> list[type[Note]]:
    return list(get_args(union))


def test_every_record_belongs_to_a_link() -> None:
    """A new record that no end decodes would be refused as unknown."""
    known = {kind for union in LINKS for kind in kinds(union)}
    defined = {
        kind
        for kind in (*vars(notes).values(), *vars(worker_notes).values())
        if isinstance(kind, type) and issubclass(kind, Note) and kind is not Note
    }
    assert defined == known


LINKS = [FromCapture, ToCapture, FromWorker, ToWorker]


@pytest.mark.parametrize("union", LINKS)
def test_every_record_comes_back_as_it_was_sent(union: Any) -> None:
    """Over msgpack, decoded as the union of its link."""
    decoder = msgspec.msgpack.Decoder(union)
    for kind in kinds(union):
        note = sample(kind)
        assert decoder.decode(msgspec.msgpack.encode(note)) == note


@pytest.mark.parametrize("union", LINKS)
def test_what_a_link_does_not_know_is_refused(union: Any) -> None:
    """Records of another link, wrong types, garbage: never a half-read message."""
    decoder = msgspec.msgpack.Decoder(union)
    for stranger in ({"type": "Nonsense"}, [1, 2], "x", {}):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(msgspec.msgpack.encode(stranger))
    with pytest.raises(msgspec.DecodeError):
        decoder.decode(b"\xc1")


def test_a_field_of_the_wrong_type_is_refused() -> None:
    """A sequence number that is a text is no sequence number."""
    raw = msgspec.msgpack.decode(msgspec.msgpack.encode(sample(FrameNote)))
    raw["seq"] = "7"
    with pytest.raises(msgspec.ValidationError, match="seq"):
        msgspec.msgpack.decode(msgspec.msgpack.encode(raw), type=FrameNote)


def test_an_unknown_state_or_kind_is_refused() -> None:
    """They become metric labels: bounded on both ends of the link."""
    for note, field in ((sample(StateNote), "state"), (sample(Lost), "kind")):
        raw = msgspec.msgpack.decode(msgspec.msgpack.encode(note))
        raw[field] = "made-up"
        with pytest.raises(msgspec.ValidationError, match=field):
            msgspec.msgpack.decode(msgspec.msgpack.encode(raw), type=type(note))


def test_records_cannot_be_changed() -> None:
    """They are handed from stage to stage without copying."""
    with pytest.raises(AttributeError):
        sample(OpenOrder).camera = "other"  # type: ignore[attr-defined]


def test_the_largest_records_are_small() -> None:
    """A heartbeat of 64 cameras, a batch of 64 windows and a result with 400 labels each."""
    heartbeat = Heartbeat(
        sent_at=1.0, cpu_s=2.0, counters={f"camera-{k:025d}": COUNTERS for k in range(64)}
    )
    windows = [WindowRef(window_id=k, ring=RING, first_seq=k) for k in range(64)]
    scores = [Score(window_id=k, outcome="ok", scores=[0.1] * 100) for k in range(64)]
    result = Result(
        batch_id=1, scores=scores, started_at=1.0, transfer_s=0.0, infer_s=0.1, finished_at=1.1
    )
    for note in (heartbeat, Infer(batch_id=1, windows=windows), result):
        assert len(msgspec.msgpack.encode(note)) < MAX_BYTES


def test_the_counters_of_a_camera_begin_at_zero() -> None:
    """decoded = used + dropped holds from the first note on."""
    counters = Counters()
    assert counters.decoded == counters.used + sum(counters.dropped.values()) == 0


def test_secrets_travel_as_opaque_bytes_only() -> None:
    """The one record that carries them shows them in no field a log would print as text."""
    order = AddCamera(camera="door", config=b"{}", ring=RING)
    assert isinstance(order.config, bytes)
