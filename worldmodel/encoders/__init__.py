"""Sensors -> latent.

config.py      what an encoder looks like
conv.py        the default: convolutions for one camera, a token for each vector
sensors.py     any sensors as tokens of one width; sensors that are missing or dead
fused.py       those tokens through a trunk, and out as a grid, a few tokens, or one vector
pretrained.py  DINOv2, DINOv3 and V-JEPA 2 from a local folder
"""
