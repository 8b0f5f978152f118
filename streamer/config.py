"""What a user may say about cameras: one pydantic model a source kind.

In: mappings or the SOURCE strings of the command line. Out: validated, immutable configuration.
Invariant: no repr, str or JSON of these models shows a credential; `reveal_json` is the only way to
the clear text and is used for the link to the capture process alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializationInfo,
    model_validator,
)
from pydantic_core import core_schema

from streamer.redact import host_of, redact, redact_url

REVEAL = {"reveal": True}
CAMERA_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"


def _named(schemes: tuple[str, ...]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes)


class Url:
    """A source address whose repr, str and JSON hide credentials; `reveal()` shows them."""

    __slots__ = ("_clear",)
    schemes: tuple[str, ...] = ("rtsp", "rtsps", "http", "https")

    def __init__(self, clear: str) -> None:
        scheme, separator, _ = clear.partition("://")
        if not separator:
            # What stands before a missing "://" may be user:password, so it is not shown.
            raise ValueError(f"has no scheme; begin it with one of {_named(self.schemes)}")
        scheme = scheme.lower()
        if scheme not in self.schemes:
            raise ValueError(f"has scheme {scheme!r}; use one of {_named(self.schemes)}")
        try:
            host_of(clear)
        except ValueError as err:
            raise ValueError(f"{redact_url(clear)} is no usable address: {err}") from None
        if re.search(r"[\x00-\x20\x7f]", clear):
            raise ValueError(
                f"{redact_url(clear)!r} holds a blank or control character; percent-encode it"
            )
        self._clear = clear
        redact.remember_url(clear)

    def reveal(self) -> str:
        """Return the address with its credentials; give it to the network library only."""
        return self._clear

    @property
    def scheme(self) -> str:
        """Return the scheme in lower case."""
        return self._clear.partition("://")[0].lower()

    def __str__(self) -> str:
        return redact_url(self._clear)

    def __repr__(self) -> str:
        return f"Url({redact_url(self._clear)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and other._clear == self._clear

    def __hash__(self) -> int:
        return hash(self._clear)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate from str; serialize hidden unless the context says reveal."""

        def serialize(url: Url, info: SerializationInfo) -> str:
            return url.reveal() if (info.context or {}).get("reveal") else str(url)

        text = core_schema.str_schema(max_length=2048)
        from_str = core_schema.no_info_after_validator_function(cls, text)
        return core_schema.json_or_python_schema(
            json_schema=from_str,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_str]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                serialize, info_arg=True
            ),
        )


class Strict(BaseModel):
    """Base of every configuration model: unknown keys are errors, values cannot change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class RtspSource(Strict):
    """A camera that speaks RTSP."""

    kind: Literal["rtsp"] = "rtsp"
    url: Url
    """rtsp:// or rtsps:// address; credentials as user:password@host."""
    transport: Literal["tcp", "udp"] = "tcp"
    """How video packets travel; udp may lose some."""


class HttpSource(Strict):
    """MJPEG, HLS or a video file over HTTP."""

    kind: Literal["http"] = "http"
    url: Url
    """http:// or https:// address."""


class FileSource(Strict):
    """A video file."""

    kind: Literal["file"] = "file"
    path: Path
    """The file; relative paths start at the current folder."""
    loop: bool = False
    """Start again at its end."""
    pace: Literal["realtime", "fast"] = "realtime"
    """realtime: as a camera would deliver it; fast: every frame, as quickly as possible."""


class WebcamSource(Strict):
    """A V4L2 device."""

    kind: Literal["webcam"] = "webcam"
    device: str = "/dev/video0"
    """Device file."""
    width: int | None = Field(None, ge=16, le=8192)
    """Pixels to ask for; the driver's default where absent."""
    height: int | None = Field(None, ge=16, le=8192)
    """Pixels to ask for."""
    fps: float | None = Field(None, gt=0, le=240)
    """Frames per second to ask for."""

    @model_validator(mode="after")
    def _size_is_whole(self) -> Self:
        # Drivers are asked for a size, never for one side of it.
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height belong together; give both or neither")
        return self


class SyntheticSource(Strict):
    """A rendered scene with known motion."""

    kind: Literal["synthetic"] = "synthetic"
    name: str
    """Name of the scene."""
    fps: float = Field(25.0, gt=0, le=120)
    """Frames per second."""
    width: int = Field(640, ge=64, le=1920)
    """Pixels."""
    height: int = Field(360, ge=64, le=1920)
    """Pixels."""
    seed: int = Field(0, ge=0)
    """Chooses looks and timing; the same seed renders the same pictures."""
    duration_s: float | None = Field(None, gt=0)
    """Seconds until the stream ends; endless where absent."""
    pace: Literal["realtime", "fast"] = "realtime"
    """realtime, or as quickly as the pipeline can take every frame."""


AnySource = Annotated[
    RtspSource | HttpSource | FileSource | WebcamSource | SyntheticSource,
    Field(discriminator="kind"),
]


def parse_source(
    text: str, *, loop: bool = False, pace: Literal["realtime", "fast"] = "realtime"
) -> dict[str, Any]:
    """Turn a SOURCE string into the mapping of its source model.

    Args:
        text: rtsp(s)://..., http(s)://..., webcam:N, /dev/videoN, synthetic:NAME or a file path.
        loop: files only.
        pace: files and synthetic scenes only.

    Returns:
        a mapping with `kind`, ready to be validated.

    Raises:
        ValueError: a scheme that is not supported.
    """
    scheme, separator, _ = text.partition("://")
    if separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return {"kind": _kind_of_scheme(scheme, text), "url": text}
    prefix, colon, rest = text.partition(":")
    if colon and prefix == "synthetic":
        return {"kind": "synthetic", "name": rest, "pace": pace}
    if (colon and prefix == "webcam") or re.fullmatch(r"/dev/video\d+", text):
        return {"kind": "webcam", "device": _device(text)}
    _refuse_slips(text)
    return {"kind": "file", "path": text, "loop": loop, "pace": pace}


def _kind_of_scheme(scheme: str, text: str) -> str:
    kind = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}.get(scheme.lower())
    if kind is None:
        raise ValueError(
            f"source {redact_url(text)!r} has scheme {scheme!r}; use rtsp://, rtsps://, "
            "http://, https://, a file path, webcam:N, /dev/videoN or synthetic:NAME"
        )
    return kind


def _device(text: str) -> str:
    number = text.removeprefix("webcam:").removeprefix("/dev/video")
    if not number.isdecimal():
        raise ValueError(f"source {text!r}: webcam:N needs a device number, such as webcam:0")
    return f"/dev/video{int(number)}"


def _refuse_slips(path: str) -> None:
    if re.match(r"[^:/\s]+:[^/]+@", path):
        raise ValueError(
            "source looks like user:password@host without a scheme; begin it with rtsp://"
        )
    if not path.strip():
        raise ValueError(
            "source is empty; give an address, a file path, webcam:N or synthetic:NAME"
        )


def _source_from_any(value: Any) -> Any:
    return parse_source(value) if isinstance(value, str) else value


SourceConfig = Annotated[
    AnySource, BeforeValidator(_source_from_any, json_schema_input_type=str | AnySource)
]


class ReconnectConfig(Strict):
    """Exponential back-off with full jitter."""

    initial_s: float = Field(0.5, gt=0, le=60)
    """Upper bound of the first wait, seconds."""
    cap_s: float = Field(15.0, gt=0, le=3600)
    """Upper bound of every wait, seconds."""
    auth_initial_s: float = Field(5.0, gt=0, le=600)
    """First wait after a refused password; slower, since cameras lock accounts."""
    auth_cap_s: float = Field(60.0, gt=0, le=3600)
    """Upper bound of waits after a refused password, seconds."""
    healthy_s: float = Field(30.0, gt=0)
    """Seconds of frames after which the next loss starts from the first wait again."""


class CaptureConfig(Strict):
    """Time limits and picture limits of every source."""

    open_timeout_s: float = Field(5.0, gt=0, le=60)
    """Seconds for connecting and the first packet."""
    stall_s: float = Field(3.0, ge=0.5, le=120)
    """Seconds without a decoded frame after which a live source is stalled and opened again."""
    stuck_s: float = Field(1.5, ge=0.2, le=60)
    """Further seconds a stalled source may hang in its decoder before its process is replaced."""
    max_pixels: int = Field(3840 * 2160, ge=64 * 64)
    """Pictures with more pixels are refused before they are decoded."""
    dns_timeout_s: float = Field(5.0, gt=0, le=60)
    """Seconds for resolving a host name."""
    frozen_s: float = Field(10.0, gt=0)
    """Seconds of identical pictures after which a live camera counts as frozen."""
    black_s: float = Field(10.0, gt=0)
    """Seconds of black pictures after which a live camera counts as black."""


class MotionConfig(Strict):
    """The motion gate: background subtraction on a small luma picture."""

    size_px: int = Field(128, ge=32, le=640)
    """Side of the small luma picture, made from the square picture the model sees."""
    min_area_ratio: float = Field(0.004, gt=0, lt=1)
    """Smallest moving region that counts, as a share of the picture; its score is 0.5."""
    lightning_ratio: float = Field(0.6, gt=0, le=1)
    """A change of more than this share of the picture at once is light, not motion."""
    warm_up_s: float = Field(1.0, ge=0)
    """Seconds the background is learned after each start or reset before scores count."""


class ReaderConfig(Strict):
    """Everything one reader needs; composed by the pipeline from camera and model."""

    camera: str = Field(pattern=CAMERA_ID)
    """Camera id."""
    source: SourceConfig
    """What to open."""
    analysis_fps: float = Field(10.0, gt=0, le=120)
    """Frames per second of the sampled sequence the model sees."""
    size_px: int = Field(256, ge=32, le=1024)
    """Side of the square picture the model sees."""
    gap_s: float = Field(1.0, gt=0)
    """A longer time between two frames begins a new run."""
    capture: CaptureConfig = CaptureConfig()
    """Time and picture limits."""
    motion: MotionConfig = MotionConfig()
    """The motion gate."""

    def reveal_json(self) -> bytes:
        """Return JSON with credentials in clear, for the link to the capture process only."""
        return self.model_dump_json(context=REVEAL).encode()
