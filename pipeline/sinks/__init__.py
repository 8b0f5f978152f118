"""Destinations of events, one a file, all behind `Sink`.

In: events, in order, one at a time. Out: log lines, files. Invariant: a sink that fails raises
`SinkError` and is asked again; it never stops the pipeline.
"""
