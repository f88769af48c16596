"""The peers: one module each, which is the app that its worker loads and the side that speaks to it."""
