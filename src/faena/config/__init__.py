"""Settings: one declaration each, resolved from layers.

What a setting is stands in `settings`, how a value becomes one of its type in `convert`, where values come from in
`layers`, and how a class of declarations turns into attributes in `layered`.
"""
