"""The kill switch: halts, flattens, and limits across traders."""
