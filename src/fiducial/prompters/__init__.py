"""Prompters: instruction and image in, prompts out.

``classic`` needs no weights, ``vlm`` runs a vision-language model in this process, ``oracle`` gives
prompts that somebody else wrote. They are found by name through ``fiducial.plugins``.
"""
