"""Clips with labels for training and evaluation: rendered, or sampled from the user's videos.

`batch.Batches` is what training sees; synthetic, dataset and loader make or carry it.
"""
