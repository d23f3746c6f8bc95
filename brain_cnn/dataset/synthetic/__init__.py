"""Synthetic heads: anatomical label maps -> slice -> picture, with and without tumours.

A picture is a pure function of (label maps, seed, settings). After Billot et al. 2023
(SynthSeg): a network that has seen every contrast there could be, holds on the next one.
May import the ground (`labels`, `preprocess`, `errors`) and its neighbours in `dataset`.
"""
