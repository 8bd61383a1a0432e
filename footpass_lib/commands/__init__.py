"""The command line of ``python -m footpass_lib``, a file a command.

Start at ``evaluate``. Imports everything; nothing imports it.
"""
