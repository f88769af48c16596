look_at_clock()
