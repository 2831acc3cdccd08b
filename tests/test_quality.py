"""The shipped quality model: what it says of texts written for this, on one illness, in each language."""

import pyarrow as pa
import pytest

from mmedc.filters import open_filters
from mmedc.policy import read_policy
from mmedc.steps.score import Score, scorer

MARGIN = 0.3
TEXTS = {
    "en": (
        "Asthma is a long-term disease of the airways. The bronchi are inflamed and become narrow, so that "
        "breathing is difficult, above all at night. An inhaled corticosteroid every day reduces the "
        "inflammation; a reliever is used during an attack. Patients should be shown how to use the inhaler.",
        "Best asthma inhalers 2024! Order your asthma inhaler online today without prescription and save "
        "40%. Free delivery, secure payment, money back guarantee. Add to cart now, only 3 left in stock. "
        "Customers who bought this item also bought vitamins. Sign in to see your rewards.",
        "hi all, anyone else here with asthma? my inhaler stopped working lol, what do you guys use? thanks "
        "in advance. Quote. Reply. Report post. Joined: May 2012. Posts: 87. bump, nobody? Log in to reply "
        "to this topic.",
    ),
    "fr": (
        "L'asthme est une maladie chronique des voies respiratoires. Les bronches sont enflammées et se "
        "rétrécissent, ce qui rend la respiration difficile, surtout la nuit. Un corticoïde inhalé chaque "
        "jour réduit l'inflammation ; un bronchodilatateur soulage la crise. Le médecin montre au patient "
        "comment se servir de l'inhalateur.",
        "Inhalateur contre l'asthme pas cher ! Commandez votre inhalateur en ligne sans ordonnance et "
        "économisez 40 %. Livraison gratuite, paiement sécurisé, satisfait ou remboursé. Ajoutez au panier, "
        "plus que 3 en stock. Les clients ont aussi acheté : vitamines. Connectez-vous pour voir vos points "
        "fidélité.",
        "salut à tous, y a d'autres gens avec de l'asthme ici ? mon inhalateur marche plus mdr, vous prenez "
        "quoi ? merci d'avance. Citer. Répondre. Signaler. Inscrit : mai 2012. Messages : 87. up, personne ? "
        "Connectez-vous pour répondre à ce sujet.",
    ),
    "es": (
        "El asma es una enfermedad crónica de las vías respiratorias. Los bronquios se inflaman y se "
        "estrechan, y la respiración se hace difícil, sobre todo por la noche. Un corticoide inhalado cada "
        "día reduce la inflamación; durante una crisis se usa un broncodilatador. El médico enseña al "
        "paciente a usar el inhalador.",
        "¡Los mejores inhaladores para el asma 2024! Compra tu inhalador en línea sin receta y ahorra un 40 "
        "%. Envío gratis, pago seguro, devolución garantizada. Añade al carrito, solo quedan 3 en stock. "
        "Otros clientes también compraron vitaminas. Inicia sesión para ver tus puntos.",
        "hola a todos, ¿alguien más con asma por aquí? mi inhalador ya no funciona jaja, ¿ustedes qué usan? "
        "gracias de antemano. Citar. Responder. Reportar mensaje. Registrado: mayo 2012. Mensajes: 87. up, "
        "¿nadie? Inicia sesión para responder a este tema.",
    ),
    "ru": (
        "Бронхиальная астма — хроническое заболевание дыхательных путей. Бронхи воспалены и сужены, поэтому "
        "дыхание затруднено, особенно ночью. Ингаляционный кортикостероид, который применяют каждый день, "
        "уменьшает воспаление; во время приступа применяют бронхолитик. Врач показывает больному, как "
        "пользоваться ингалятором.",
        "Лучшие ингаляторы от астмы 2024! Закажите ингалятор онлайн без рецепта со скидкой 40%. Бесплатная "
        "доставка, безопасная оплата, гарантия возврата. Добавьте в корзину, осталось 3 штуки. С этим "
        "товаром покупают витамины. Войдите, чтобы увидеть бонусы.",
        "всем привет, есть кто с астмой? ингалятор перестал работать ахах, кто чем пользуется? заранее "
        "спасибо. Цитировать. Ответить. Пожаловаться. Регистрация: май 2012. Сообщений: 87. ап, никого? "
        "Войдите, чтобы ответить в теме.",
    ),
    "zh": (
        "哮喘是一种慢性呼吸道疾病。患者的支气管发炎、变窄，因而呼吸困难，夜间尤其明显。每天吸入糖皮质"
        "激素可以减轻炎症，急性发作时使用支气管扩张剂。医生应当教会患者正确使用吸入器，并定期检查肺功"
        "能。",
        "哮喘吸入器特价促销！网上下单无需处方，立减四成，全场包邮，正品保证，七天无理由退款。仅剩3件"
        "，立即加入购物车。购买此商品的顾客还购买了维生素。登录查看会员积分，关注店铺领优惠券。",
        "大家好，有没有同样哮喘的？我的吸入器坏了哈哈，你们都用什么牌子？谢谢楼主。引用 回复 举报 "
        "注册时间 2012-5 帖子 87。顶一下，没人吗？登录后才可以回复本主题。",
    ),
    "ja": (
        "喘息は気道の慢性疾患である。気管支に炎症が起きて狭くなるため、特に夜間に呼吸が苦しくなる。毎"
        "日の吸入ステロイド薬は炎症を抑え、発作のときは気管支拡張薬を用いる。医師は患者に吸入器の正し"
        "い使い方を教え、定期的に肺機能を調べる。",
        "喘息の吸入器が特価！処方箋なしでネット注文、今なら40%オフ、送料無料、安心のお支払い、返品"
        "保証。残り3点、今すぐカートに入れる。この商品を買った人はビタミンも購入しています。ログイン"
        "してポイントを確認、クーポン配布中。",
        "喘息の人いますか？吸入器が壊れたんだけどワロタ、みんな何使ってる？教えてください。引用 返信"
        " 通報する 登録日 2012年5月 投稿数 87。あげ、誰もいないの？返信するにはログインし"
        "てください。",
    ),
}
"""Of each language a leaflet, a shop and a forum."""


@pytest.mark.parametrize("lang", TEXTS)
def test_a_leaflet_is_better_than_a_shop_and_a_forum_on_the_same_illness(lang: str) -> None:
    leaflet, shop, forum = scorer(open_filters().model("quality").path)(pa.array(TEXTS[lang], pa.large_string()), None)
    assert leaflet > max(shop, forum) + MARGIN


def test_languages_it_was_not_made_of_have_no_score() -> None:
    texts = [TEXTS["en"][0], "Asthma ist eine chronische Krankheit der Atemwege."]
    policy = read_policy("balanced", ("en", "de"))
    batch = pa.record_batch(
        {
            "text": pa.array(texts, pa.large_string()),
            "lang": ["en", "de"],
            "medical_terms": pa.array([5, 3], pa.float32()),
            "medical_density": pa.array([0.1, 0.2], pa.float32()),
            "medical_spread": pa.array([0.5, 0.4], pa.float32()),
            "dropped_by": pa.nulls(2, pa.string()),
        }
    )
    scored = Score("quality", open_filters().model("quality"), policy).open()(batch)
    assert scored.column("quality").is_null().to_pylist() == [False, True]
    assert scored.column("dropped_by").null_count == 2  # a score, no limit
