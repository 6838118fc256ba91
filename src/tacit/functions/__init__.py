"""Secure mathematics, written once for all protocols: comparisons and curves on shares.

Functions take a protocol, shares and the number of fraction bits. They know real numbers; they know nothing of torch's
operators or of parties.
"""
