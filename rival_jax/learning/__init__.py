"""Concepts learnt from a few photos: a token's vectors, thin matrices beside the UNet's, or the UNet itself.

concept   photos and arguments to a file     methods   what is trained, and how it is written
examples  photos and prompts to batches
"""
