"""How each dish looks: one function per dish, which draws in plate coordinates."""
