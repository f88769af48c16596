"""What one process of all has to do: it holds a lease in the backend for it, and loses it when it dies."""
