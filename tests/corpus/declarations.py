"""The translations of the Declaration of Human Rights among the real text, and their languages."""

# Names of the files (ISO 639-3) and what documents are given (ISO 639-1).
CODES = """
arb:ar ben:bn cat:ca cmn_hans:zh deu:de eng:en eus:eu fin:fi fra:fr guj:gu heb:he hin:hi ibo:ig
ind:id ita:it jpn:ja kor:ko lin:ln mal:ml mar:mr nep:ne pan:pa pol:pl rus:ru sna:sn spa:es swh:sw
tam:ta tha:th tur:tr ukr:uk urd:ur vie:vi xho:xh yor:yo zul:zu
"""
CODES = dict(pair.split(":") for pair in CODES.split())
