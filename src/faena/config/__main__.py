from faena.config.reference import reference

print(reference(), end="")
