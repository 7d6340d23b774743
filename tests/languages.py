"""What is said in many languages, for tests: each is written as a corpus may have it."""

SAID = {
    "arabic": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645",
    "arabic, pointed": "\u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627 \u0628\u0650\u0643\u064f\u0645\u0652",
    "bengali": "\u0986\u09ae\u09bf \u09ad\u09be\u09b2\u09cb \u0986\u099b\u09bf, \u09ac\u09dc",
    "burmese": "\u1019\u1004\u103a\u1039\u1002\u101c\u102c\u1015\u102b",
    "chinese": "\u6253\u5f00\u95e8\uff0c\u8c22\u8c22",
    "english": "It's well-known: open the door!",
    "german": "\u00d6ffne die T\u00fcr in der Stra\u00dfe.",
    "greek": "\u039f \u03ba\u03cc\u03c3\u03bc\u03bf\u03c2 \u03b5\u03af\u03bd\u03b1\u03b9 \u03bc\u03b9\u03ba\u03c1\u03cc\u03c2",
    "hebrew": "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "hebrew, pointed": "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u05e2\u05d5\u05b9\u05dc\u05b8\u05dd",
    "hindi": "\u092f\u0939 \u0915\u093f\u0924\u093e\u092c \u092c\u0939\u0941\u0924 \u0905\u091a\u094d\u091b\u0940 \u0939\u0948\u0964 \u0938\u0921\u093c\u0915",
    "japanese": "\u30c9\u30a2\u3092\u958b\u3051\u3066\u304f\u3060\u3055\u3044\u3002",
    "khmer": "\u179f\u17bd\u179f\u17d2\u178f\u17b8",
    "korean": "\ubb38\uc744 \uc5f4\uc5b4 \uc8fc\uc138\uc694",
    "lao": "\u0eaa\u0eb0\u0e9a\u0eb2\u0e8d\u0e94\u0eb5",
    "persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0628\u0631\u0648\u0645",
    "russian": "\u0401\u043b\u043a\u0430 \u0438 \u0439\u043e\u0434",
    "tamil": "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u0ba8\u0bbe\u0b9f\u0bc1",
    "thai": "\u0e40\u0e1b\u0e34\u0e14\u0e1b\u0e23\u0e30\u0e15\u0e39\u0e17\u0e35\u0e48\u0e19\u0e35\u0e48",
    "turkish": "Isparta'da \u0131l\u0131k, \u0130stanbul'da \u0131\u015f\u0131k",
    "vietnamese": "M\u1edf c\u1eeda gi\u00fap t\u00f4i, \u0111\u01b0\u1ee3c kh\u00f4ng?",
    "yoruba": "\u1eb9\u0300k\u1ecd\u0301 n\u00e1\u00e0",
}
# Two words of one language that differ in one mark, or in what is its own letter.
APART = {
    "arabic": ("\u0639\u0650\u0644\u0652\u0645", "\u0639\u064e\u0644\u064e\u0645"),
    "bengali": ("\u09a6\u09bf\u09a8", "\u09a6\u09c0\u09a8"),
    "german": ("Ma\u00dfe", "Masse"),
    "hindi": ("\u0926\u093f\u0928", "\u0926\u0940\u0928"),
    "japanese": ("\u304b\u304d", "\u304b\u304e"),
    "russian": ("\u0431\u043e\u0439", "\u0431\u043e\u0438"),
    "tamil": ("\u0b95\u0bb2\u0bcd", "\u0b95\u0bbe\u0bb2\u0bcd"),
    "thai": ("\u0e21\u0e32", "\u0e21\u0e49\u0e32"),
    "turkish": ("\u0131l\u0131k", "ilik"),
    "vietnamese": ("m\u00e1", "m\u00e0"),
    "yoruba": ("\u1ecdk\u1ecd\u0301", "\u1ecdk\u1ecd\u0300"),
}
UNSPACED = ("burmese", "chinese", "japanese", "khmer", "lao", "thai")
