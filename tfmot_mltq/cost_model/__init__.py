"""Instructions and bytes of a layer on a microcontroller, without running it.

``docs/cost_model.md`` says what is counted and how far off it is.
"""
