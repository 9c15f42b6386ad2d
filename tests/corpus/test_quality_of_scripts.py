"""Rules of quality on scripts that are written without spaces."""

import pytest

from roots_tf.corpus.cleaning import BasicQuality
from roots_tf.corpus.documents import Document
from roots_tf.corpus.lines import Lines, SentenceLines
from roots_tf.corpus.quality import FlaggedWords, Length, StopWords, Symbols
from roots_tf.corpus.repetition import Repetition, ngram_chars
from roots_tf.corpus.text_size import text_size
from roots_tf.corpus.word_lists import flagged_words, languages, stop_words
from roots_tf.words import language_of

STEPS = (BasicQuality(), Length(), Symbols(), StopWords(), Lines(), Repetition())
# Articles 1 to 3 of the Declaration of Human Rights; Khmer and Burmese have 1 and 3.
DECLARATIONS = {
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。\n"
    "人人有资格享有本宣言所载的一切权利和自由，不分种族、肤色、性别、语言、宗教、政治或其他见解、"
    "国籍或社会出身、财产、出生或其他身分等任何区别。\n人人有权享有生命、自由和人身安全。",
    "ja": "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。"
    "人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。\n"
    "すべて人は、生命、自由及び身体の安全に対する権利を有する。",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม "
    "และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ\nคนทุกคนมีสิทธิในการดำเนินชีวิต ในเสรีธรรม "
    "และในความมั่นคงแห่งร่างกาย ไม่มีบุคคลใดจะถูกบังคับให้เป็นทาส หรืออยู่ในภาระจำยอมใด ๆ",
    "lo": "ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີ, ສິດທິ, ເສລີພາບ ແລະ ຄວາມສະເໝີພາບເທົ່າທຽມກັນ. "
    "ທຸກໆຄົນມີເຫດຜົນ ແລະ ຄວາມຄິດຄວາມເຫັນສ່ວນຕົວຂອງໃຜຂອງມັນ, ແຕ່ວ່າມະນຸດທຸກໆຄົນຄວນປະພຶດຕໍ່ກັນ"
    "ຄືກັບເປັນອ້າຍນ້ອງກັນ.\nຄົນຜູ້ໜຶ່ງໆມີສິດທີ່ຈະມີຊີວິດຢູ່ມີອິດສະຫຼະ ແລະ ໄດ້ຮັບຄວາມປອດໄພ.",
    "km": "មនុស្សទាំងអស់ កើតមកមានសេរីភាព និងសមភាព ក្នុងផ្នែកសេចក្ដីថ្លៃថ្នូរនិងសិទ្ធិ។ "
    "មនុស្ស មានវិចារណញ្ញាណនិងសតិសម្បជញ្ញៈជាប់ពីកំណើត ហើយគប្បីប្រព្រឹត្ដចំពោះគ្នាទៅវិញទៅមក "
    "ក្នុងស្មារតីភាតរភាពជាបងប្អូន។\nបុគ្គលម្នាក់ៗ មានសិទ្ធិរស់រានមានជីវិត សេរីភាព និងសន្តិសុខផ្ទាល់ខ្លួន។",
    "my": "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊ တူညီလွတ်လပ်သော အခွင့်အရေးများဖြင့် "
    "လည်းကောင်း၊ မွေးဖွားလာသူများ ဖြစ်သည်။ ထိုသူတို့၌ ပိုင်းခြား ဝေဖန်တတ်သော ဉာဏ်နှင့် "
    "ကျင့်ဝတ် သိတတ်သော စိတ်တို့ရှိကြ၍ ထိုသူတို့သည် အချင်းချင်း မေတ္တာထား၍ ဆက်ဆံကျင့်သုံးသင့်၏။",
}


def reason(step, text, language):
    result = step(Document(text, "", language), {})
    return result if isinstance(result, str) else ""


@pytest.mark.parametrize("language", DECLARATIONS)
def test_text_without_spaces_is_not_dropped_for_that(language):
    text = DECLARATIONS[language]
    assert language_of(text) == language
    for told in (language, ""):
        for step in STEPS:
            assert reason(step, text, told) == "", type(step)
    assert len(stop_words(language)) >= 8
    assert languages()[language]["unspaced"]


@pytest.mark.parametrize("language", DECLARATIONS)
def test_text_without_spaces_that_repeats_itself_is_dropped(language):
    sentence = DECLARATIONS[language].split("\n")[0]
    assert "gram" in reason(Repetition(), " ".join([sentence] * 4), language)
    assert reason(BasicQuality(), "\n".join([sentence] * 4), "") == "repeated_paragraphs"


def test_how_much_a_text_says():
    assert text_size("The sea.") == 8
    assert text_size("海A、ひら한") == 3.5 + 1 + 1 + 2 * 2 + 2.75


def test_between_words_of_a_script_without_spaces_there_are_none():
    assert ngram_chars(["深度", "学习"] * 3, "")[2] == 12
    assert ngram_chars(["deep", "sea"] * 3)[2] == 24


def test_headings_are_no_hashes():
    article = "".join(f"## 第{n}节\n\n这一节讲模型。\n" for n in "一二三四五六七八")
    assert reason(Symbols(), article, "zh") == ""
    assert reason(Symbols(), "#模型#学习#深度 好 #数据#语言", "zh") == "hashes"


@pytest.mark.parametrize("ellipsis", ["……", "⋯⋯"])
def test_the_chinese_ellipsis_is_one_mark_that_ends_a_sentence(ellipsis):
    line = f"他慢慢地走远了，再也没有回头看我们一眼{ellipsis}"
    text = "\n".join([line, line.replace("他", "她"), line.replace("走", "跑")])
    measured = {}
    assert reason(Symbols(), text, "zh") == ""
    Symbols()(Document(text, "", "zh"), measured)
    assert measured["ellipsis_lines"] == 0
    assert SentenceLines()(Document(text, "", "zh"), {}).text == text
    assert reason(Lines(), text, "zh") == ""
    teasers = "\n".join(f"今日头条第{n}则新闻的标题是这样的..." for n in "一二三四五")
    assert reason(Symbols(max_ellipses_per_word=1), teasers, "zh") == "cut_lines"


def test_a_paragraph_without_its_last_mark_has_sentences():
    review = "房间很干净，服务也很好。早餐一般，交通方便。下次还会再来的，推荐"
    assert reason(Lines(), review, "zh") == ""
    assert (
        reason(Lines(), "首页 | 新闻 | 登录 | 注册 | 联系我们 | 关于我们的网站和产品", "zh")
        == "sentence_lines"
    )


def test_flagged_words_are_found_in_text_without_spaces():
    word = sorted(flagged_words("zh"))[0]
    assert reason(FlaggedWords(), f"这里有{word}，那里有{word}。", "zh") == "flagged_words"
    assert reason(FlaggedWords(), DECLARATIONS["zh"] * 3 + word, "zh") == ""
    assert reason(FlaggedWords(), DECLARATIONS["zh"], "zh") == ""


def test_no_history_and_next_to_no_review_has_flagged_words(data):
    rows = (data / "chnsenticorp" / "dev.tsv").read_text("utf-8").split("\n")[1:]
    assert sum(reason(FlaggedWords(), row, "zh") != "" for row in rows) <= 1
    history = (data / "histories_zh" / "世说新语.txt").read_text("utf-8")
    assert reason(FlaggedWords(), history, "zh") == ""
