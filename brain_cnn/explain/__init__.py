"""Where the network looked, and whether that is where the tumour is.

`gradcam` needs TensorFlow and is imported by whoever asks for it; nothing is imported here,
so that the serving side, whose heatmaps come from the class maps, stays without it.
"""
