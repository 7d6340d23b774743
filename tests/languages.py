# ruff: noqa: RUF001
"""What is said in many languages, for tests: each is written as a corpus may have it."""

SAID = {
    "arabic": "مرحبا بكم",
    "arabic, pointed": "مَرْحَبًا بِكُمْ",
    "bengali": "আমি ভালো আছি, ব\u09dc",
    "burmese": "မင်္ဂလာပါ",
    "chinese": "打开门，谢谢",
    "english": "It's well-known: open the door!",
    "german": "Öffne die Tür in der Straße.",
    "greek": "Ο κόσμος είναι μικρός",
    "hebrew": "שלום עולם",
    "hebrew, pointed": "שָׁלוֹם עוֹלָם",
    "hindi": "यह किताब बहुत अच्छी है। सड\u093cक",
    "japanese": "ドアを開けてください。",
    "khmer": "សួស្តី",
    "korean": "문을 열어 주세요",
    "lao": "ສະບາຍດີ",
    "persian": "می\u200cخواهم بروم",
    "russian": "Ёлка и йод",
    "tamil": "தமிழ் நாடு",
    "thai": "เปิดประตูที่นี่",
    "turkish": "Isparta'da ılık, İstanbul'da ışık",
    "vietnamese": "Mở cửa giúp tôi, được không?",
    "yoruba": "ẹ̀kọ́ náà",
}
# Two words of one language that differ in one mark, or in what is its own letter.
APART = {
    "arabic": ("عِلْم", "عَلَم"),
    "bengali": ("দিন", "দীন"),
    "german": ("Maße", "Masse"),
    "hindi": ("दिन", "दीन"),
    "japanese": ("かき", "かぎ"),
    "russian": ("бой", "бои"),
    "tamil": ("கல்", "கால்"),
    "thai": ("มา", "ม้า"),
    "turkish": ("ılık", "ilik"),
    "vietnamese": ("má", "mà"),
    "yoruba": ("ọkọ́", "ọkọ̀"),
}
UNSPACED = ("burmese", "chinese", "japanese", "khmer", "lao", "thai")
