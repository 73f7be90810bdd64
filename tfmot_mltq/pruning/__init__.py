"""Which bits and words are set to zero, and when: rules on arrays, without a framework."""
