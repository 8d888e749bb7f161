"""The fast twins of ``decaf.layers``: the same names, the same arguments, float32 only."""
