"""The values that the stages hand to one another: frozen, without input, output or clock."""
