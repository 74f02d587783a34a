"""Sequences between two conditions: which coefficients their frames have, and which frames are shown (AID, PAID)."""
