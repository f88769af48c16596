--! kept found
-- KEYS: prefix   ARGV: ids, at most 1000   Returns what is kept of their results.
return kept_of(ARGV)
