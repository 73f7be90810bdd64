"""The packed format, version 2: layers as bytes that the C operators read in place.

``docs/packed_format.md`` describes it byte by byte.
"""
