"""Tasks of the whole project."""

from invoke import Collection

from . import docs, lint
from .build import all_of_it

ns = Collection(all_of_it)
ns.add_collection(Collection.from_module(docs))
ns.add_collection(lint, name="check")
ns.configure({"docs": {"target": "public"}, "lint": {"strict": True}})
