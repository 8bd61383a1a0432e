"""The networks: X3D, TAAD on top of it, the graph network, the sequence model; and gradient checkpointing.

Start at ``taad``, then ``gnn`` and ``dst``; ``pointer_dst`` is the small profiles' variant, ``context`` and
``player_attention`` have others of TAAD and DST. Imports ``samples`` (what networks are given) and what is below it;
knows nothing of training.
"""
