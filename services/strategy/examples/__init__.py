"""Examples that ship: three strategies, an actor and an execution algorithm, for any bars."""
