"""Phrases in which texts give orders to a model that are not theirs to give.

Rule: data, written by hand; of what is asked of whom, so that a word alone ("ignore", "system", "Dan")
is nothing. A phrase that honest texts hold, too, has a score that does not suffice alone.

How to read a phrase: words in a row; a|b is one of them; [a|b] may be missing; {name} is one of
WORDS; an ending * is any ending; ~ is up to three words of any kind. Case, line breaks and
punctuation between words make no difference. By the words marked ! the phrase is looked for, so
they should be rare; where none is marked, by its last. Whoever changes a phrase measures again:
tests/guards/test_injection.py pins the figures.
"""

from __future__ import annotations

WORDS = {
    "ignore": "ignore|disregard|forget|bypass|override|overrule|overlook|skip|drop|discard|cancel|neglect|violate|erase",
    "ignoring": "ignoring|disregarding|forgetting|bypassing|overriding|violating",
    "previous": "previous|prior|preceding|earlier|above|foregoing|former|initial|original|existing|past|old|other",
    "rules": "instruct*|directive*|rule|rules|prompt*|guideline*|guidance|polic*|restriction*|constraint*|safeguard*|guardrail*|programming|command*|orders|directions|training",
    "model": "ai|assistant|model|chatbot|bot|llm|chatgpt|gpt|claude|gemini|copilot",
    "free": "unrestricted|unfiltered|uncensored|unlimited|amoral|jailbroken|unbound|limitless|evil|rogue|unethical|lawless",
    "limits": "restriction*|filter|filters|limitation*|censorship|ethic*|moral*|guideline*|boundaries|constraint*|safeguard*|guardrail*",
    "show": "reveal|show|print|output|repeat|display|disclose|leak|expose|dump|share|tell|give|write|recite|return|list|paste|echo|translate|summarize|summarise|encode|send|append|include|provide|export",
    "secret": "system|hidden|secret|initial|internal|original|developer|base|confidential|starting|pre|underlying",
    "ignoriere": "ignorier*|vergiss|vergessen|missachte*|übergeh*|überschreib*|umgeh*|verwirf|verwerfen|lösche",
    "vorherige": "vorherig*|vorangegangen*|vorig*|bisherig*|obig*|früher*|ursprünglich*|bestehend*|vorstehend*",
    "regeln": "anweisung*|instruktion*|regel*|vorgabe*|richtlinie*|befehl*|prompt*|vorschrift*|einschränkung*|beschränkung*|sicherheitsregel*",
    "zeige": "zeig*|nenn*|verrat*|gib|wiederhol*|druck*|sag|sage|schreib*|liste|offenbar*|übersetz*|fass*|füge",
    "geheim": "systemprompt*|system-prompt|systemanweisung*|systemnachricht*|initialprompt",
    "geheime": "geheim*|versteckt*|intern*|ursprünglich*|initial*",
}

PHRASES: tuple[tuple[str, float, str], ...] = (
    # --- What it was told no longer holds --------------------------------------------------------------
    (
        "instruction",
        0.85,
        """
        {ignore} [all|any|every] [of] [the|these|those|your] [of] [the] {previous} [system|user|safety] {rules}
        {ignore} [all|any|every] [of] [the|these|those|your] {previous} ~ {rules}
        {ignore} [all|any|every] [of] your [system|safety|internal|content|own|ethical|moral] {rules}
        {ignore} [all|any|every] [of] [the|these|those|your] [system|safety|content] !{rules} [that|which] you were|have|are [been] given|told|following
        !{ignore} [all|everything] [that|which] was|were|is|came [said|written|stated] before|above|previously
        !{ignore} everything|anything|all [that] [i|you|they|was|were|has|have|we] ~ [told|said|written|instructed|taught] [to|by] [you] before|above|previously|previous|earlier|so
        {ignore} [the|your] !system !prompt
        {ignoring} [all|any|every] [of] [the|these|those|your] {previous} ~ {rules}
        not|don't follow|obey|adhere|comply ~ [to|with] [your|the|any] {previous} ~ {rules}
        {previous} !instruct*|rules|prompts|directives !are|is|were [now] void|null|invalid|cancelled|canceled|superseded|obsolete|revoked|overridden|lifted|suspended
        these|this|the [new|following] instruct* !supersede*|override*|replace* [all|any|the|your] ~ {rules}
        stop !following|obeying [all|any|the|your] ~ {rules}
        {ignoriere} [bitte] [alle|alles|sämtlich*] [deine|meine|die|diese|ihre] {vorherige} ~ {regeln}
        {ignoriere} [bitte] [alle|sämtlich*] deine|ihre [internen|eigenen|ethischen] {regeln}
        !{ignoriere} [bitte] alles [was] ~ gesagt|geschrieben|davor|vorher|zuvor|oben|bisher
        {ignoriere} [den|deinen|ihren] {geheim}
        {ignoriere} [alle] !{regeln} die|von dir|oben|zuvor|vorher|bisher
        deine|alle !{vorherige} !{regeln} gelten|sind nicht|ungültig|aufgehoben
        ignore* [toutes] [les|tes|vos] !instructions|consignes précédent*|antérieur*|ci-dessus
        oublie* [toutes] [les|tes|vos] !instructions|consignes|règles [précédent*|antérieur*]
        ignora|ignore|olvida [todas] [las|tus|sus] !instrucciones anteriores|previas
        ignora|dimentica [tutte] [le] [tue] !istruzioni precedenti
        ignore|esqueça [todas] [as] [suas] !instruções anteriores
        negeer|vergeet [alle] [je|de] [eerdere|vorige] instructies
        """,
    ),
    (
        "instruction",
        0.45,
        """
        {ignore} [all] my [previous|prior|earlier|last] {rules}
        {ignore} [all|the|any] [of] [the] [safety|content|system] {rules}
        !authorized|authorised !penetration|security test
        !{ignore} everything|all above|before
        !from !now !on you
        your|my !new !task|instruct*|role|goal|objective is|are
        !new !instruct* from|by|below|follow
        !system !override|update|notice|alert
        admin|administrator|root|developer|debug|maintenance|god !override|mode|access !enabled|activated|granted|on
        ab !jetzt|sofort !bist|wirst|musst|antwortest|sollst du
        !neue !anweisung*
        !anweisung* an|für die|den|alle|das ki|assistent*|sprachmodell*|chatbot
        !important|urgent|attention|note !instruct* to|for [the|all|any|every] {model}
        !attention|note|message|hello|dear|hey !to|for [the|all|any|every] {model}
        if you are [an|a] {model} reading|processing|summarizing|summarising|evaluating|reviewing
        when !you !summarize|summarise|process|read|analyze|review this ~ say|add|include|recommend|rate|state
        not|don't tell|inform|mention|reveal|alert [this|it|anything|about|any] [to|of|this] [the] !user
        """,
    ),
    # --- It is to be somebody else ---------------------------------------------------------------------
    (
        "persona",
        0.8,
        """
        stands for !do !anything !now
        can|could|may|must|will !do !anything !now
        !dan !mode [enabled|activated|on|now]
        act|behave|respond|answer|operate|function|work|pose|speak|reply as|like|in [if|you|were] [you|were|are] [a|an|the|my] [completely|totally|fully|truly|most] !{free} ~ {model}|version|character|persona|mode|being|entity
        you are|re [now] [a|an|the] [completely|totally|fully|truly] !{free} ~ {model}|version|character|persona|mode|being|entity
        pretend [to|that|you] [be|are|re|you] [a|an|are] [completely] {free}
        enable|enter|activate|switch|unlock|turn|engage|go|start [to|into|on|in] [the|your] !jailbreak|god|dan|unrestricted|unfiltered|uncensored|evil|opposite !mode
        !jailbreak|god !mode [is|has|now|was] [been|now] enabled|activated|unlocked|engaged
        {model} ~ in|with !developer !mode
        you are|re [now|going|to] [now|to] [be|act|become] [as] ~ !dan|evilbot|devmode [who|which|that|an|a] ~ anything|no|not|free|rules|rule
        simulate|emulate ~ !jailbreak !mode
        du bist [jetzt|nun|ab] [jetzt|sofort] [eine|ein] [völlig|komplett] uneingeschränkt*|unzensiert*|ungefiltert*|grenzenlos*
        spiele|spiel|verhalte|tu|antworte [dich|so|die|eine|einen|als|wie] ~ ki|chatbot|assistent|modell !ohne [jede|jegliche|alle|ethische] regeln|einschränkung*|filter|moral|grenzen|beschränkung*
        aktivier* [den] entwicklermodus|jailbreakmodus|gottmodus
        """,
    ),
    (
        "persona",
        0.4,
        """
        !pretend [to|that|you|as] be|are|re|you
        you !are !now|no|going [to|longer|an|a|the|bound]
        you !re !now
        !act|behave|respond !as|like if|a|an|the|my|you
        !roleplay|role-play [as|with|a]
        stay|remain in !character
        take|assume|adopt [on] the !role|persona|identity of
        in [this|a] !hypothetical|fictional|imaginary world|scenario|story|universe|setting
        my [late|dead|deceased] !grandm* used|would|who
        !opposite !day|mode
        !developer !mode [is|has|now|was] [been|now] enabled|activated|unlocked|engaged|on|and
        with|in !developer !mode
        enable|enter|activate|switch|unlock|turn [to|into|on] [the|your] !developer|sudo !mode
        let s !play !a !game
        stell dir vor [du] !bist|wärst|hättest|hast
        tu !so !als ob|wärst|wäre|hättest
        du !bist !jetzt|nun|ab
        spiele [die|eine|einen] !rolle
        bleib* in deiner|der !rolle
        """,
    ),
    # --- It is to have no limits --------------------------------------------------------------------------
    (
        "pressure",
        0.45,
        """
        no|without|bypass*|remove|disable|ignor*|lift [any|all|your|the|more] [of] [your|the] [ethical|moral|content|safety|usual|legal] {limits}
        free [of|from] [any|all|your|the] [ethical|moral|content|safety] {limits}
        not|no|never|longer !bound|limited|restricted|constrained|restrained|confined by|to
        never|not|cannot|can't|don't|must [ever] !refuse|decline|reject
        never|cannot|can't|not !say !no
        must|will|shall|now [always] obey|comply
        never|not|don't|without [ever] mention*|apologiz*|add*|includ*|giv*|warn*|provid*|any [any|a|the|that] warning*|disclaimer*|apolog*|moraliz*|ethic*|refusal*
        answer|respond|comply|reply|obey|complete [to|with] every|all|any|anything [request*|question*|prompt*|command*|order*|i] ~ regardless|without|matter
        regardless of [any|all|how|the] legal*|ethic*|consequence*|moral*|illegal
        say|do|generate|answer|produce !anything|everything !i|you ~ no|without|even
        !break !free|character|out [of|from] [the|your|all|any] [typical] confines|rules|limits|restrictions|chains
        disable|deactivate|switch|turn [off] [all|your|the|any] !safety|content|ethical|moderation !filter*|protocol*|feature*|guideline*|mechanism*|measure*|check*|setting*
        ohne [jede|jegliche|alle|irgendwelche] [ethische*|moralische*] einschränkung*|filter|zensur|moral|bedenken|beschränkung*|warnhinweis*|ethik
        !keine|keinerlei [ethischen|moralischen] regeln|grenzen|einschränkung*|filter|beschränkung*|richtlinien
        !lehne|lehnst|verweiger* [du] niemals|nie|nichts|keine
        nicht [mehr] an [deine|die|irgendwelche|ethische] [ethischen] regeln|richtlinien|vorgaben !gebunden
        musst|wirst [du] [mir] [immer] gehorchen
        !beantworte* [mir] alles|jede|alle [frage*|anfrage*] ohne
        schalte|deaktivier* [alle|deine|die] !sicherheits*|filter|inhaltsfilter|schutz*
        """,
    ),
    # --- It is to give away what it was told ---------------------------------------------------------------
    (
        "prompt",
        0.8,
        """
        {show} [me|us|out|back|with|verbatim] [all|of|the|exact|full] [full|entire|complete|exact|contents|text|whole|current|content|of] [text|of|contents|content] your|the [full|entire|complete|exact|own] {secret} [system|developer] !prompt*|instruct*|message|directive*|configuration|guideline*
        {show} [me|us|out|back] [the|all|of|verbatim] your [full|entire|complete|exact|own|very|current] [first|initial|original] !instruct*|prompt|directive*
        {show} [me|us|out|back] everything !above|preceding|before [this|here|and|my]
        {show} [me|us|out|back] [all|the] [of|the|exact] text|words|content|sentences|lines|message*|instruct*|prompt !above|preceding|before starting|beginning|verbatim|exactly|word
        what is|are|was|were|s your [full|exact|own] {secret} [system] !prompt*|instruct*|directive*|message*
        what|which !instruct*|prompt|rules|directives were|are|have you [been] given|told|following|provided|under
        what did [the|your] !system|developer* [prompt|message|instruct*] say
        !repeat [the|all] text|words|content|sentences|everything above
        start|starting|begin|beginning [your] [answer|reply|output] with [the] !words|phrase|text !you !are
        {show} [me|us|out] the [full|entire|complete|exact] text|content*|wording of [your|the] {secret} !prompt*|instruct*|message|directive*
        your !system !prompt verbatim|word|in|as|exactly
        {zeige} [mir|uns|bitte] [bitte|den|die|alle|deine*|dein*] [den|die|text|genauen|kompletten|vollständig*] [inhalt|text|wortlaut] [deines|deiner|deinen|des|deine|den|dein] {geheim}
        {zeige} [mir|uns|bitte] [bitte|alle] deine* {geheime} {regeln}
        wie|was lautet|lauten|ist|sind|steht [in] dein* {geheim}
        welche {geheime} !anweisung* hast|hat|wurden|haben|befolgst
        welche !anweisung* hast|wurden|befolgst du|dir
        montre*|révèle*|affiche* [moi] ton|ta|tes|votre|vos !prompt|instructions|consignes système|initial*|secr*|cach*
        montre*|révèle*|affiche* [moi] ton|votre prompt
        muestra*|revela*|dime tu|tus|el|las|su !prompt|instrucciones [del|de] sistema|inicial*|secret*|ocult*
        """,
    ),
    (
        "prompt",
        0.45,
        """
        {show} [me|us|out] the|all|any|your [of] [the|your] !api|secret|secrets|admin|environment|private|stored|database !key|keys|password*|variables|token*|credential*|secrets
        system|initial|hidden !prompt please|now|here|above
        {show} [me|us|out|back] [all|the] [of|the|exact] text|words|content|sentences|lines|message*|instruct*|prompt !above|preceding
        !system !message|prompt
        !exfiltrate|leak|forward|upload [all|the|this|any|every] [of] [the|user*] ~ data|conversation*|history|chat|messages|emails|files|contents|credentials
        """,
    ),
)
