"""Words by which a prompt asks for thought, or for little of it, in eleven languages.

Rule: stems of the vocabulary of tasks, not of topics. A stem begins a word; those in Chinese,
Japanese and Korean, which are written without spaces, may stand anywhere.
"""

from __future__ import annotations

import re

# Asks for an argument, a plan, a program or a calculation.
_THOUGHT = """
prove proof disprov deriv show_that deduc infer refut rebut justif critiqu criticis criticiz analy
evaluat assess compar contrast weigh_ trade-off tradeoff implications counterargument objection
assumption hypothes paradox reasoning contradict interpret forecast diagonalis diagonaliz
design architect roadmap strateg propos migrat prioriti optimi refactor debug root_cause
implement algorithm deadlock race_condition thread-safe concurren lock-free time_complexity
memory_leak leaks bottleneck vulnerab security_problem threat_model
probabilit integral equation theorem eigenval polynomial induction differential recurrence
trade_offs second-order arguments_of pros_and_cons feasib schedule decidab undecid irrational
np-hard np-complete asymptot halting port_this port_the review_this code_review
beweis herleit leite_ begründ analysier vergleich bewert erörter abwäg wäge_ entwirf entwerf
implementier optimier wahrscheinlichkeit gleichung schlussfolger architektur widerleg strategie
démontr prouve montre_que dédui justifi évalu conçois concevoir conclure planifi stratégi
résous résoud équation implément
demuestr demostr demonstr dimostr analiz analis analizz confront evalú evalua avali valuta
diseñ projet progett planific planeia resuelv resolv risolv algoritm estrateg ecuaci equaç equaz
calcula_el calcula_a calcola
докаж доказ выведи сравни проанализ оцени спроект реализу алгоритм вероятност уравнен предел
kanıtla ispatla karşılaştır analiz_et değerlendir tasarla adım_adım çöz algoritma olasılık denklem
bewijs vergelijk analyseer beoordeel ontwerp leg_uit_waarom udowodnij porównaj przeanalizuj oceń
zaprojektuj zaimplementuj
"""
_THOUGHT_ANYWHERE = """
أثبت برهن قارن حلل صمم
证明 推导 分析 比较 评估 设计 优化 实现 算法 概率 方程 步骤 策略
証明 導出 比較 評価 設計 実装 最適化 アルゴリズム 確率 方程式 提案 戦略
증명 분석 비교 평가 설계 구현 최적화 알고리즘 확률 방정식 전략
"""
# May ask for thought, and often asks for a sentence.
_DEPTH = """
explain reason reasons discuss argue cause_ causes consequences effects impact evidence methodolog
theory mechanism limits_ plan_ planning outline draft strongest optimal best_way how_would should_we
could_be_wrong compute calculate solve find_all how_many_ways how_many_times what_if step_by_step
possible conclude follow_that point_of_view both_sides faster bug_ bugs invert balance puzzle riddle
function_that query regular_expression regex script_that program_that parser multi-thread
legal clause liabilit indemnif compliance dosage dose_ risk risks budget timeline
sonnet essay iambic acrostic persuasive
erkläre erläuter plane_ berechne löse diskutier risiken risiko ursachen folgen_
explique expliquer discute calcule résolv risque risques causes conséquence
explica explique spiega cuántas_formas calcula planea_ riesgo consecuenc cause_ rischi
объясни найдите вычисл решите причин последств
açıkla hesapla risk
"""
_DEPTH_ANYWHERE = "解释 说明 计算 计划 风险 影响 説明 計画 計算 影響 설명 계산 계획 영향"
# Asks for a reason; few such questions have a short true answer.
_WHY = """
why warum wieso weshalb pourquoi por_qué porqué perché por_que почему зачем neden niçin
"""
_WHY_ANYWHERE = "为什么 为何 なぜ どうして 왜"
# Bounds that an answer has to keep.
_BOUND = """
must without exactly at_most at_least no_more_than not_more_than cannot only_if unless except
constraint constraints within_ under_the given_that each_ every_ all_ neither both_ respect valid
ohne genau höchstens mindestens maximal muss darf jeweils jeder_ innerhalb falls
sans exactement moins_de au_plus au_moins doit chaque si_chacun
sin_ exactamente al_menos como_máximo debe cada_ senza almeno ogni_ sem_ pelo_menos
без ровно минимум максимум кажд должен
olmadan en_az en_çok tam_olarak
"""
_BOUND_ANYWHERE = "至少 最多 不超过 必须 每个 少なくとも 以内 必ず ずつ 최소 최대 반드시"
# Asks for a change of words, a fact, or nothing.
_PLAIN = """
translat summar shorten tl;dr extract rewrite rephrase paraphrase spelling grammar synonym antonym
plural_of capital_of how_do_you_say what_does what's_the what_is_the_capital define greeting
birthday joke_ jokes thank thanks hello_ hi_ hey_ good_morning recipe classify sentiment title caption
proofread convert capitalize uppercase format_this list_the which_date in_one_sentence
positive_or_negative tag_the bullet_list turn_this_into_a sum_up what_is_mentioned mention shortcut
out-of-office slogan names_of to_a_child give_me_only briefly suggest recommend make_this_sentence who_wrote who_painted what_year
übersetz fasse_ zusammenfass kürze rechtschreib korrigier heißt bedeutet hauptstadt gruß danke
hallo witz rezept umformulier
tradui résum corrige_ capitale bonjour merci blague recette reformul anniversaire
traduc traduz resum riassum corrige_ capital_ hola gracias obrigad ciao grazie chiste receta
ricetta saluto
переведи столица привет спасибо исправь сократи перескажи
vertaal samenvat hoofdstad przetłumacz streść cześć dzień_dobry stolica
çevir özetle başkent merhaba teşekkür düzelt
"""
_PLAIN_ANYWHERE = "ترجم لخص مرحبا شكرا عاصمة 翻译 总结 摘要 你好 谢谢 首都 翻訳 要約 こんにちは ありがとう 首都 번역 요약 안녕 감사"
# What may hide inside a plain task and is no task of its own: "then", "first", numbered points.
_STEP = """
first_ then_ finally next_ afterwards followed_by after_that
zuerst danach anschließend schließlich samt
d'abord ensuite puis_ enfin primero luego después_ prima_ poi_ infine depois
сначала затем потом önce sonra
"""
_STEP_ANYWHERE = "首先 然后 最后 まず 次に 最後に 먼저 다음"


def _pattern(stems: str, anywhere: str) -> re.Pattern[str]:
    # An underscore stands for a space; at the end it closes the word.
    words = sorted({re.escape(stem.replace("_", " ")) for stem in stems.split()})
    closed = [rf"{word[:-2]}\b" if word.endswith("\\ ") else word for word in words]
    parts = [rf"\b(?:{'|'.join(closed)})", *map(re.escape, anywhere.split())]
    return re.compile("|".join(parts))


THOUGHT = _pattern(_THOUGHT, _THOUGHT_ANYWHERE)
DEPTH = _pattern(_DEPTH, _DEPTH_ANYWHERE)
WHY = _pattern(_WHY, _WHY_ANYWHERE)
BOUND = _pattern(_BOUND, _BOUND_ANYWHERE)
PLAIN = _pattern(_PLAIN, _PLAIN_ANYWHERE)
STEP = _pattern(_STEP, _STEP_ANYWHERE)
# Signs of a program, in any language.
CODE = re.compile(
    r"```|[;{}]\s*\n|\w\(\w*\)|=>|->|::|!=|==|\+=|"
    r"\b(?:def|class|func|fn|import|return|struct|public|private|void|lambda)\s\w|"
    r"\b(?:select|insert|update|delete)\b.{1,200}?\b(?:from|into|set|where)\b|"
    r"\btraceback\b|\bstack trace\b|\b\w+(?:error|exception)\b",
    re.DOTALL,
)
# Signs of a calculation: symbols, powers, letters in equations, intervals and matrices.
MATHS = re.compile(
    r"[√∫∑∏∞≤≥≠≡∈∀∃∂π]|\w\^[\w({-]|\b[a-z]\s?\([a-z0-9]\)|\b[a-z]\s?[=<>]\s?[\w(-]|\[\[|"
    r"\bo\([a-z0-9]|\b\d+[a-z]\^?\d?\b|\bmod\b|\bsqrt\b|[a-z]'{1,2}\s"
)
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
QUESTION = re.compile(r"[?？؟]")
# At the start of a line or after a clause: "1) ...", "- ...".
POINT = re.compile(r"(?m)^[ \t]*(?:\d+[.)]|[-*•])\s|(?<=\s)\d\)\s")
# Characters of writings without spaces, of which one says about as much as three others.
DENSE = re.compile(r"[\u2e80-\ud7ff]")
# What somebody pasted: it is spoken about, and asks for nothing itself.
QUOTED = re.compile(r"```.*?```|\"[^\"]*\"|“[^“”]*”|«[^«»]*»|„[^„“”]*[“”]|「[^「」]*」", re.DOTALL)
