"""The command ``mltq``: a module for each of its commands, with ``define_flags`` and ``run``."""
