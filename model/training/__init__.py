"""Training of the network: recipe and batches in, checkpoints, curves and a bundle out.

`loop.train` is the whole run. Invariant: importing this package loads neither TensorFlow nor Keras.
"""
