"""Words with which tables label a row that sums up the others."""

import functools
import re

_WORDS = (
    "total, totals, sum, sums, subtotal, sub-total, sub total, grand total, sum total, overall, "
    "average, averages, avg, mean, median, min, minimum, max, maximum, count, std, stdev, "
    "合计, 总计, 总和, 小计, 汇总, 共计, 累计, 平均, 平均值, "
    "均值, 中位数, 最大值, 最小值, 合計, 總計, 總和, 小計, 匯總, "
    "総計, 平均値, 합계, 총계, 소계, 평균, "
    "summe, gesamt, gesamtergebnis, jahresmittel, monatsmittel, "
    "gesamtsumme, zwischensumme, insgesamt, mittelwert, durchschnitt, "
    "somme, moyenne, médiane, sous-total, total général, suma, promedio, media, mediana, "
    "total general, totale, somma, soma, totaal, gemiddelde, razem, średnia, итого, всего, сумма, "
    "итог, среднее, toplam, ortalama, summa, medelvärde, celkem, součet, průměr, gjennomsnitt, "
    "totalt, yhteensä, keskiarvo, összesen, átlag, ukupno, prosjek, skupaj, povprečje, spolu, "
    "priemer, sumă, medie, kokku, keskmine, iš viso, vidurkis, kopā, vidējais, genel toplam, "
    "total geral, média, totale complessivo, eindtotaal, endsumme, jahressumme, "
    "σύνολο, μέσος όρος, общо, средно, усього, разом, середнє, "
    'סה"כ, סה״כ, סך הכל, ממוצע, المجموع, مجموع, الإجمالي, المتوسط, جمع, میانگین, '
    "รวม, รวมทั้งหมด, ค่าเฉลี่ย, tổng, tổng cộng, trung bình, कुल, योग, औसत, jumlah, rata-rata"
)
_BEFORE = r"(?:(?:overall|monthly|annual|yearly|weekly|daily|period|column|arithmetic|\d{4})\s+)?"
_AFTER = (
    r"(?:\s+(?:of|for|in|over|values?|all|rows|days|years?|\d{2,4}|\([^()]*\)|"
    r"an+ual|annuel(?:le)?|annuale|mensual|mensuel(?:le)?|mensile|за|год|месяц))*"
)
_AROUND, _BRACKETS = ":：.=* \t\r\n\u00a0\u3000", "()（）[] "
_SIGN = re.compile(r"^[Σ∑Ø](?!\w)\s*|\s+[Σ∑Ø]$")
_SPACED = re.compile(r"(?<=[\u3400-\u9fff\uac00-\ud7a3])\s+(?=[\u3400-\u9fff\uac00-\ud7a3])")


@functools.cache
def _pattern() -> re.Pattern[str]:
    listed = "|".join(re.escape(word) for word in _WORDS.split(", "))
    return re.compile(rf"{_BEFORE}(?:{listed}){_AFTER}", re.IGNORECASE)


@functools.lru_cache(maxsize=4096)
def is_total_word(text: str) -> bool:
    """Whether a text labels a total, an average or the like.

    Example:
        >>> is_total_word("Grand total:"), is_total_word("合计"), is_total_word("Tokyo")
        (True, True, False)
    """
    plain = _SIGN.sub("", _SPACED.sub("", text.strip(_AROUND)))
    if not plain:
        return any(sign in text for sign in "Σ∑Ø")
    # The brackets may be around all of it, or around a year behind it.
    return len(plain) < 32 and any(map(_pattern().fullmatch, (plain, plain.strip(_BRACKETS))))
