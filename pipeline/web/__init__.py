"""The HTTP side: metrics, health and status, served from the control process's own event loop."""
