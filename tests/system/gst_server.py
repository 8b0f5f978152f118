#!/usr/bin/python3
"""An RTSP server nobody of us wrote (GStreamer), run by the system Python, which has its bindings.

Reads one JSON object on stdin: {"port": 0, "mounts": {"/cam0": "clip.ts", ...}, "user": "",
"password": ""}; each MPEG-TS clip (H.264, no B-frames) plays in an endless loop, over TCP or UDP as
the client asks, one shared session a mount. Prints `ready PORT`. SIGUSR1 freezes the pictures of
every mount while the sessions live, and thaws them. The password comes by stdin so that no process
list shows it. Ends on SIGTERM.
"""

from __future__ import annotations

import json
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

# multifilesrc loops a transport stream with growing PTS; mp4 would end.
LAUNCH = (
    '( multifilesrc location="{path}" loop=true ! tsdemux ! h264parse '
    "! valve name=freezer drop=false ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
ROLE = "viewer"


def refuse_seeking(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
    """Drop the query by which FFmpeg's PLAY (with a Range) becomes a seek: a loop answers 503."""
    query = info.get_query()
    is_seeking = query is not None and query.type == Gst.QueryType.SEEKING
    return Gst.PadProbeReturn.DROP if is_seeking else Gst.PadProbeReturn.OK


class Freezer:
    """The valves of every media that was ever set up."""

    def __init__(self) -> None:
        self._valves: list[Gst.Element] = []
        self._is_frozen = False

    def adopt(
        self, _factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia
    ) -> None:
        """Prepare a media before its first client plays."""
        valve = media.get_element().get_by_name("freezer")
        valve.set_property("drop", self._is_frozen)
        self._valves.append(valve)
        pay = media.get_element().get_by_name("pay0")
        for pad in ("src", "sink"):
            pay.get_static_pad(pad).add_probe(Gst.PadProbeType.QUERY_UPSTREAM, refuse_seeking)

    def toggle(self) -> bool:
        """Freeze or thaw everything; returns True so that GLib keeps the handler."""
        self._is_frozen = not self._is_frozen
        for valve in self._valves:
            valve.set_property("drop", self._is_frozen)
        print("frozen" if self._is_frozen else "thawed", flush=True)
        return True


def require_login(
    server: GstRtspServer.RTSPServer,
    factories: list[GstRtspServer.RTSPMediaFactory],
    user: str,
    password: str,
) -> None:
    """Let only `user` in, by digest authentication."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    for factory in factories:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role(ROLE, "media.factory.access", True)
        permissions.add_permission_for_role(ROLE, "media.factory.construct", True)
        factory.set_permissions(permissions)


def main() -> None:
    """Serve until SIGTERM."""
    orders = json.load(sys.stdin)
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(orders["port"]))
    freezer = Freezer()
    factories = []
    for mount, path in orders["mounts"].items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(LAUNCH.format(path=path))
        factory.set_shared(True)
        factory.connect("media-configure", freezer.adopt)
        server.get_mount_points().add_factory(mount, factory)
        factories.append(factory)
    if orders.get("user"):
        require_login(server, factories, orders["user"], orders["password"])
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {orders['port']}")
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGUSR1, freezer.toggle)
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, loop.quit)
    print("ready", server.get_bound_port(), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
