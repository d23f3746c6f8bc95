"""A Keras model as the files of the other engines.

May import the network, `inference` and the ground.
"""
