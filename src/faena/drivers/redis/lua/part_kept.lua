-- Where results lie. One by itself has a key of its own, `results .. id`; those of a batch lie together, in a hash for all ids
-- whose first eleven characters are the same: ids begin with the time, so these are of one moment (16 ms). Any others will do.
local call, results, moments, MOMENT, FEW = redis.call, P .. 'r:', P .. 'rm:', 11, 8  -- fewer than these are no batch
