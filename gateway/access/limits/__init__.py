"""How much each caller may ask for: limits, the shared memory that counts them, and leases where several gateways share them.

All workers of a gateway count in one table of shared memory, exactly. With Redis, each gateway has a lease, which is an amount
that Redis has set aside for it, and a background task renews the lease. No request waits for Redis.

The ``limits`` library is not used. Its storages are asked in the request, which waits for Redis there. They give all of an
amount or nothing, take nothing back, use the callers' wall clocks, and forget everything when Redis restarts. Its memory
storage belongs to one process and grows without a bound. Its grammar has neither units nor bursts.
"""
