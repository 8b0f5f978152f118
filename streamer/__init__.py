"""Cameras in, time-true frames in shared memory out.

The data plane: sources are opened, decoded, resampled and preprocessed in capture processes, and
every analysed frame lands in a `FrameRing`. Only small notes leave this package. Importing it
starts nothing and loads no heavy library.
"""
