"""The control plane: orders capture and inference, decides what is an event, tells the sinks.

One asyncio process that never touches a pixel and imports neither TensorFlow nor libav.
Importing it starts nothing and loads no heavy library.
"""
