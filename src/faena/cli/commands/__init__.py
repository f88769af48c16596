"""The commands of `faena`, a module each; `cli.catalog` lists them, and imports the one that is used."""
