"""Makes the EPUB and the JATS article of the quickstart, from texts that were written for it.

    python -m tests.build_book_sample [FOLDER]

Each has what such files have besides their text: an imprint, a table of contents, a note, cells that span others,
references. The result is the same on every run.
"""

import sys
from pathlib import Path

from tests.bookfiles import epub, jats, page

OUT = Path(__file__).parent.parent / "pipelines" / "quickstart" / "books"
LICENCE = "https://www.apache.org/licenses/LICENSE-2.0"

CHAPTERS = {
    "fever.xhtml": (
        "第一章 发热",
        """
        <p>发热是孩子就诊最常见的原因。腋下体温达到37.5摄氏度以上通常称为发热，它是身体对抗感染的反应，本身并不是疾病。
        多数发热由病毒性上呼吸道感染引起，三至五天内自行消退。</p>
        <h2>怎样护理</h2>
        <p>让孩子多喝水，穿薄而透气的衣服，室温保持在24至26摄氏度。体温超过38.5摄氏度且孩子明显不适时，可以服用对乙酰氨基酚或
        布洛芬；两种药物不要交替或同时使用。三个月以下的婴儿不要自行用药。<a epub:type="noteref" href="#n1">1</a></p>
        <p>酒精擦浴会使皮肤血管收缩，还可能经皮肤吸收而中毒，已经不再推荐。捂汗会让体温进一步升高，也应当避免。</p>
        <h2>何时就医</h2>
        <p>三个月以下的婴儿发热、体温超过40摄氏度、发热超过三天、抽搐、皮疹按压不褪色、呼吸急促或者嗜睡难以唤醒，都应当立即去医院。</p>
        <aside epub:type="footnote" id="n1"><p>布洛芬一般用于六个月以上的儿童，剂量按体重计算，请遵照医师或药师的
        指导。</p></aside>
        """,
    ),
    "diarrhoea.xhtml": (
        "第二章 腹泻与脱水",
        """
        <p>婴幼儿腹泻多由轮状病毒、诺如病毒等引起，大便呈水样或蛋花汤样，常伴有呕吐和低热。腹泻最大的危险不是次数多，而是脱水和
        电解质紊乱。</p>
        <h2>判断脱水的程度</h2>
        <table><tr><th>程度</th><th>精神状态</th><th>眼窝</th><th>尿量</th></tr>
        <tr><td>轻度</td><td rowspan="2">稍差或烦躁</td><td>正常</td><td>略少</td></tr>
        <tr><td>中度</td><td>凹陷</td><td>明显减少</td></tr>
        <tr><td>重度</td><td>嗜睡、昏迷</td><td>深凹</td><td>极少或无尿</td></tr></table>
        <h2>补液与饮食</h2>
        <p>轻度和中度脱水可以在家口服补液盐，少量多次喂服；不要用白开水或甜饮料代替。继续母乳喂养，不必禁食。世界卫生组织建议腹泻的
        儿童补锌十至十四天，可以缩短病程并减少复发。没有细菌感染的证据时，不要使用抗生素。</p>
        <p>出现血便、频繁呕吐不能进食、六小时以上无尿、哭时无泪或者精神萎靡，应当及时就诊，必要时静脉补液。</p>
        """,
    ),
    "rash.xhtml": (
        "第三章 皮疹",
        """
        <p>许多儿童传染病以皮疹为主要表现。判断时要看皮疹的形态和分布，还要看它与发热的先后关系。</p>
        <h2>常见的出疹性疾病</h2>
        <p>幼儿急疹的特点是热退疹出：高热三至五天后体温骤降，躯干随即出现玫瑰红色的斑丘疹，一两天内消退，不留色素沉着。</p>
        <p>水痘的皮疹分批出现，斑疹、丘疹、疱疹和结痂可以同时看到，伴有明显瘙痒。患儿应当隔离到全部疱疹结痂，剪短指甲，避免抓破后
        继发细菌感染。接种水痘疫苗是最有效的预防方法。</p>
        <p>手足口病由肠道病毒引起，手、足、口腔黏膜和臀部出现疱疹。多数患儿一周左右痊愈，少数重症病例可发生脑炎或心肌炎，如有持续高热、
        肢体抖动、呼吸困难，应立即送医。</p>
        <h2>湿疹的日常护理</h2>
        <p>湿疹与皮肤屏障功能不全有关。每天使用足量的保湿剂是治疗的基础，洗澡水不要过热。急性期可在医师指导下短期外用弱效糖皮质激素
        软膏，规范使用是安全的。</p>
        """,
    ),
}
IMPRINT = f"""<body epub:type="copyright-page"><p>《婴幼儿常见病家庭护理》</p><p>© 2026 mmedc</p>
<p>本书以 Apache-2.0 许可证发布：{LICENCE}</p></body>"""
METADATA = f"""<dc:title>婴幼儿常见病家庭护理</dc:title><dc:creator>mmedc</dc:creator><dc:language>zh</dc:language>
<dc:date>2026-11-30</dc:date><dc:rights>{LICENCE}</dc:rights><dc:type>textbook</dc:type>"""

META = f"""<title-group><article-title>Medición de la presión arterial en atención primaria: una revisión breve
</article-title></title-group><contrib-group><contrib><collab>mmedc</collab></contrib></contrib-group>
<pub-date><year>2026</year><month>11</month><day>30</day></pub-date>
<permissions><license xlink:href="{LICENCE}"><license-p>Apache-2.0</license-p></license></permissions>
<abstract><p>La hipertensión arterial es el principal factor de riesgo modificable de enfermedad cardiovascular. Esta
revisión resume cómo medir la presión arterial en la consulta y fuera de ella, cómo clasificar los valores obtenidos y
cuándo sospechar una hipertensión secundaria.</p></abstract>"""
BODY = """<sec><title>Introducción</title><p>La hipertensión arterial afecta a más de mil millones de personas adultas y
suele cursar sin síntomas durante años. Una medición incorrecta lleva a tratar a quien no lo necesita o a dejar sin
tratamiento a quien sí tiene riesgo de ictus, infarto de miocardio o insuficiencia renal. Por eso la técnica de medida
importa tanto como el propio valor.</p></sec>
<sec><title>Técnica de medida</title><sec><title>En la consulta</title><p>El paciente debe permanecer sentado y en
reposo durante cinco minutos, con la espalda apoyada y el brazo a la altura del corazón. No debe haber fumado, tomado
café ni hecho ejercicio en los treinta minutos previos. El manguito ha de ser adecuado al perímetro del brazo: uno
pequeño sobrestima la presión. Se toman al menos dos lecturas separadas por uno o dos minutos y se calcula la
media.</p></sec><sec><title>Fuera de la consulta</title><p>La automedida en el domicilio y la monitorización ambulatoria
de veinticuatro horas permiten reconocer la hipertensión de bata blanca y la hipertensión enmascarada. Se considera
elevada una media domiciliaria de 135/85 mmHg o superior <xref ref-type="bibr" rid="r1">[1]</xref>.</p></sec></sec>
<sec><title>Clasificación</title><p>La tabla 1 muestra las categorías que utilizan las guías europeas. Cuando la presión
sistólica y la diastólica corresponden a categorías distintas, se aplica la más alta.</p>
<table-wrap><label>Tabla 1</label><caption><p>Categorías de la presión arterial en la consulta</p></caption>
<table><thead><tr><th rowspan="2">Categoría</th><th colspan="2">Presión (mmHg)</th></tr>
<tr><th>Sistólica</th><th>Diastólica</th></tr></thead><tbody>
<tr><td>Normal</td><td>120–129</td><td>80–84</td></tr><tr><td>Normal alta</td><td>130–139</td><td>85–89</td></tr>
<tr><td>Hipertensión de grado 1</td><td>140–159</td><td>90–99</td></tr>
<tr><td>Hipertensión de grado 2</td><td>160–179</td><td>100–109</td></tr>
<tr><td>Hipertensión de grado 3</td><td>≥180</td><td>≥110</td></tr></tbody></table></table-wrap></sec>
<sec><title>Hipertensión secundaria</title><p>Conviene sospecharla en menores de cuarenta años, cuando la presión se
eleva de forma brusca o cuando no se controla con tres fármacos a dosis plenas, uno de ellos diurético. Las causas más
frecuentes son la enfermedad renal crónica, la estenosis de la arteria renal, el hiperaldosteronismo primario y la apnea
obstructiva del sueño. El estudio inicial incluye creatinina, potasio, sedimento de orina y cociente
albúmina/creatinina.</p></sec>
<sec><title>Conclusiones</title><p>Medir bien la presión arterial es sencillo y barato. Confirmar el
diagnóstico fuera de la consulta evita tratamientos innecesarios, y el tratamiento combina cambios del estilo de vida,
como reducir la sal y perder peso, con fármacos antihipertensivos cuando el riesgo cardiovascular lo justifica.</p>
</sec>
"""
BACK = """<ref-list><title>Referencias</title><ref id="r1"><label>1</label><mixed-citation>Guía europea de
hipertensión arterial.</mixed-citation></ref></ref-list>"""


def handbook() -> bytes:
    """Return the EPUB: an imprint, three chapters with sections, and a table of contents of two levels."""
    chapters = {"imprint.xhtml": page(IMPRINT, lang="zh")}
    for name, (title, body) in CHAPTERS.items():
        chapters[name] = page(f"<h1>{title}</h1>{body}", title, "zh")
    nav = "".join(f'<li><a href="{name}">{title}</a></li>' for name, (title, _) in CHAPTERS.items())
    return epub(chapters, metadata=METADATA, nav=nav)


def article() -> bytes:
    """Return the article in JATS: an abstract, sections of two levels, a table with spans, a reference."""
    return jats(BODY, META, BACK, lang="es", kind="review-article")


def build(out: Path) -> None:
    """Write both files to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "child-care.epub").write_bytes(handbook())
    (out / "blood-pressure.xml").write_bytes(article())


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
