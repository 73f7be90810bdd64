"""Accuracy of int8 networks and of ours at the same cost: long training that stops and goes on."""
