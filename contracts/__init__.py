"""What developers run on the contracts: generators, the check against releases, and the pages of the reference.

No service imports it. The generators read the protos; the pages also have tables of what the code decides.
"""
