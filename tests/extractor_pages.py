"""Pages of several kinds in several languages, written for the tests: what is main content, in a frame of a site."""

from typing import NamedTuple


class Sample(NamedTuple):
    name: str
    lang: str
    html: str
    gold: str


LABELS = {
    "en": ("Home News Contact About", "Accept cookies", "We use cookies to improve this site. Read our policy.",
           "Related articles", "Ten tips for winter", "Share", "All rights reserved. Terms of use. Privacy policy.",
           "Subscribe to our newsletter"),
    "zh": ("首页 新闻 联系 关于", "接受", "本网站使用Cookie以改善体验。请阅读我们的政策。", "相关文章", "冬季保健十条建议", "分享",
           "版权所有。使用条款。隐私政策。", "订阅我们的通讯"),
    "ja": ("ホーム ニュース お問い合わせ 会社概要", "同意する", "当サイトはクッキーを使用しています。方針をお読みください。",
           "関連記事", "冬の健康のための十の助言", "共有", "無断転載を禁じます。利用規約。個人情報保護方針。", "メールマガジン登録"),
    "ru": ("Главная Новости Контакты Контора", "Принять", "Сайт использует файлы cookie. Прочтите наши правила.",
           "Похожие статьи", "Десять советов на зиму", "Поделиться",
           "Все права защищены. Условия использования. Конфиденциальность.", "Подпишитесь на рассылку"),
    "fr": ("Accueil Actualités Contact Qui", "Accepter", "Ce site utilise des cookies. Lisez notre politique.",
           "Articles liés", "Dix conseils pour l’hiver", "Partager",
           "Tous droits réservés. Conditions. Confidentialité.", "Abonnez-vous à notre lettre"),
    "es": ("Inicio Noticias Contacto Nosotros", "Aceptar", "Este sitio usa cookies. Lea nuestra política.",
           "Artículos relacionados", "Diez consejos para el invierno", "Compartir",
           "Todos los derechos reservados. Condiciones. Privacidad.", "Suscríbase a nuestro boletín"),
    "ar": ("الرئيسية الأخبار اتصل حول", "قبول", "يستخدم هذا الموقع ملفات تعريف الارتباط. اقرأ سياستنا.", "مقالات ذات صلة",
           "عشر نصائح للشتاء", "شارك", "جميع الحقوق محفوظة. شروط الاستخدام. الخصوصية.", "اشترك في نشرتنا"),
    "de": ("Start Aktuelles Kontakt Verein", "Zustimmen", "Diese Seite verwendet Cookies. Lesen Sie unsere Hinweise.",
           "Ähnliche Beiträge", "Zehn Ratschläge für den Winter", "Teilen",
           "Alle Rechte vorbehalten. Nutzung. Datenschutz.", "Rundbrief abonnieren"),
}  # fmt: skip

PARAGRAPHS = {
    "en": ["Asthma is a chronic disease of the airways. The airways swell and make more mucus, so that breathing is hard, "
           "above all at night and after exercise.",
           "An inhaler with a corticosteroid keeps the swelling down. It has to be used every day, even when there are "
           "no complaints, because it works slowly and only as long as it is taken.",
           "Go to a doctor at once when an attack does not pass after using the reliever twice, or when speaking in "
           "whole sentences is no longer possible."],
    "zh": ["哮喘是一种慢性气道疾病。气道肿胀并产生更多黏液，使呼吸变得困难，夜间和运动后尤为明显。",
           "含有皮质类固醇的吸入剂可以减轻肿胀。即使没有症状也必须每天使用，因为它起效缓慢，停药后作用就会消失。",
           "如果使用两次缓解药物后发作仍未停止，或者已经无法说出完整的句子，请立即就医。"],
    "ja": ["ぜんそくは気道の慢性の病気です。気道がはれて粘液が増え、特に夜間や運動のあとに息が苦しくなります。",
           "ステロイドの吸入薬ははれをおさえます。効果はゆっくり現れ、使っている間しか続かないため、症状がなくても毎日使います。",
           "発作の薬を二回使っても治まらないとき、または文章を最後まで話せないときは、すぐに医師の診察を受けてください。"],
    "ru": ["Астма — хроническая болезнь дыхательных путей. Их слизистая отекает, выделяется больше слизи, и дышать "
           "становится трудно, особенно ночью и после нагрузки.",
           "Ингалятор с кортикостероидом уменьшает отёк. Им пользуются каждый день, даже когда жалоб нет, потому что он "
           "действует медленно и только пока его применяют.",
           "Немедленно обратитесь к врачу, если приступ не проходит после двух вдохов или если больной не может "
           "договорить предложение."],
    "fr": ["L’asthme est une maladie chronique des bronches. Elles gonflent et produisent plus de mucus, si bien que la "
           "respiration devient difficile, surtout la nuit et après l’effort.",
           "Un inhalateur contenant un corticoïde réduit le gonflement. Il s’emploie chaque jour, même sans gêne, car il "
           "agit lentement et seulement tant qu’on le prend.",
           "Consultez sans attendre lorsque la crise ne passe pas après deux bouffées, ou lorsque le malade ne peut plus "
           "finir ses phrases."],
    "es": ["El asma es una enfermedad crónica de las vías respiratorias. Se hinchan y producen más moco, de modo que "
           "cuesta respirar, sobre todo de noche y después del ejercicio.",
           "Un inhalador con corticoides reduce la hinchazón. Debe usarse todos los días, aunque no haya molestias, "
           "porque actúa despacio y solo mientras se toma.",
           "Acuda enseguida al médico cuando la crisis no cede tras dos inhalaciones o cuando el enfermo no puede "
           "terminar las frases."],
    "ar": ["الربو مرض مزمن يصيب المسالك الهوائية. تتورم هذه المسالك وتفرز مزيدا من المخاط فيصعب التنفس، خصوصا في الليل وبعد المجهود.",
           "يخفف البخاخ الذي يحتوي على الكورتيزون هذا التورم. يجب استعماله كل يوم حتى عندما لا توجد شكوى، لأنه يعمل ببطء.",
           "راجع الطبيب فورا إذا لم تنته النوبة بعد استعمال البخاخ مرتين، أو إذا لم يعد المريض قادرا على إكمال الجملة."],
    "de": ["Asthma ist eine chronische Krankheit der Atemwege. Sie schwellen an und bilden mehr Schleim, so dass das Atmen "
           "schwerfällt, vor allem nachts und nach Anstrengung.",
           "Ein Inhalator mit Kortison hält die Schwellung klein. Er wird jeden Tag benutzt, auch ohne Beschwerden, weil "
           "er langsam wirkt und nur, solange man ihn nimmt.",
           "Gehen Sie sofort zum Arzt, wenn ein Anfall nach zwei Sprühstößen nicht vergeht oder ganze Sätze nicht mehr "
           "möglich sind."],
}  # fmt: skip


def framed(lang: str, main: str, title: str = "") -> str:
    """Return a page of a site: menu, cookie banner, main part, sidebar and footer."""
    menu, accept, cookies, related, teaser, share, rights, letter = LABELS[lang]
    links = "".join(f'<li class="menu-item"><a href="/{at}">{word}</a></li>' for at, word in enumerate(menu.split()))
    teasers = "".join(f'<li><a href="/t{at}">{teaser} {at}</a></li>' for at in range(1, 7))
    return (
        f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title></head><body>'
        f'<header class="site-header"><nav class="main-nav"><ul>{links}</ul></nav></header>'
        f'<div id="cookie-consent"><p>{cookies}</p><button>{accept}</button></div>'
        f"{main}"
        f'<aside class="sidebar"><h3>{related}</h3><ul>{teasers}</ul><p class="newsletter">{letter}</p></aside>'
        f'<footer class="site-footer"><p>{rights}</p><a href="#">{share}</a></footer></body></html>'
    )


def article(lang: str) -> Sample:
    """Return an article of two sections."""
    texts = PARAGRAPHS[lang]
    body = "".join(f"<p>{text}</p>" for text in texts)
    main = (
        f'<main><article class="post"><h1>{texts[0][:20]}</h1><div class="entry-content">{body}</div></article></main>'
    )
    return Sample("article", lang, framed(lang, main), "\n".join([texts[0][:20], *texts]))


def thread(lang: str, post: str, body: str) -> Sample:
    """Return a thread of three posts, by the class names of a forum."""
    texts = PARAGRAPHS[lang]
    posts = "".join(
        f'<div class="{post}"><div class="author"><a href="/u{at}">user{at}</a> <span class="date">2021-03-0{at}</span>'
        f'</div><div class="{body}">{text}</div><div class="tools"><a href="#">Reply</a> <a href="#">+{at}</a></div></div>'
        for at, text in enumerate(texts, start=1)
    )
    return Sample(
        f"thread {post}",
        lang,
        framed(lang, f'<div id="thread"><h1>{texts[0][:12]}</h1>{posts}</div>'),
        "\n".join(texts),
    )


def leaflet(lang: str) -> Sample:
    """Return the leaflet of a drug: numbered sections, a list, a table of doses."""
    one, two, three = PARAGRAPHS[lang]
    main = (
        f'<div class="leaflet"><h1>Salmoxin 5 mg</h1><h2>1. {one[:10]}</h2><p>{one}</p><h2>2. {two[:10]}</h2><ul>'
        f"<li>{two}</li><li>5 mg, 10 mg, 20 mg</li></ul><table><tr><th>mg</th><th>ml</th></tr><tr><td>5</td><td>10</td></tr>"
        f"<tr><td>10</td><td>20</td></tr></table><h2>3. {three[:10]}</h2><p>{three}</p></div>"
    )
    gold = f"Salmoxin 5 mg 1. {one[:10]} {one} 2. {two[:10]} {two} 5 mg, 10 mg, 20 mg mg ml 5 10 10 20 3. {three[:10]} {three}"
    return Sample("leaflet", lang, framed(lang, main), gold)


def questions(lang: str) -> Sample:
    """Return frequent questions that fold."""
    texts = PARAGRAPHS[lang]
    body = "".join(f"<details><summary>{text[:15]}?</summary><p>{text}</p></details>" for text in texts)
    return Sample(
        "questions", lang, framed(lang, f'<main class="faq">{body}</main>'), " ".join(f"{t[:15]}? {t}" for t in texts)
    )


SAMPLES = [
    *(article(lang) for lang in PARAGRAPHS),
    thread("en", "post", "postbody"),
    thread("ru", "message message--post", "bbWrapper"),
    thread("zh", "answer-item", "answer-content"),
    leaflet("fr"),
    leaflet("ja"),
    questions("es"),
]
