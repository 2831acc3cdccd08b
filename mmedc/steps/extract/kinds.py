"""The kind of a page: `qa` for one question or thread with its answers, and which of its elements ask and answer.

Evidence is schema.org's (JSON-LD and microdata) and the mark-up of common forums and question sites. A page with
comments under an article is no thread, and neither is a list of threads.
"""

import functools
import re
from collections import Counter
from typing import Any, Literal

from mmedc.steps.extract import jsonld
from mmedc.steps.extract.tree import NAMELESS, Names, Walk

Role = Literal["", "question", "answer"]

MAX_LISTED = 3
"""A page that has more objects of type DiscussionForumPosting or QAPage lists threads."""

FAQ_SHARE = 0.4
"""The share of all text of a page that the answers of its FAQPage have to be for the page to be one of questions."""

_POSTS = (
    "postbody post_body post-bodycopy "  # phpBB, MyBB
    "postcontainer postbit postbitlegacy b-post js-post js-post__content-text "  # vBulletin 3 to 5
    "message--post messagetext bbwrapper "  # XenForo 1 and 2
    "crawler-post topic-post topic-body cooked "  # Discourse
    "plhin post_wrapper blockpost postmsg "  # Discuz, SMF, FluxBB
    "ipscomment ipscomment_content cpost "  # Invision
    "lia-message-view lia-message-body lia-message-body-content "  # Khoros
    "bbp-topic-content bbp-reply-content poststream-item post-stream posttext "  # bbPress, Flarum
    "comtr usertext-body itemdiscussion itemcomment shreddit-post shreddit-comment "  # Hacker News, Reddit, Vanilla
    "forumpost forum-post forum-message forum-reply threadpost thread-post topic-reply reply-item reply-list-item"
)
POSTS = frozenset(_POSTS.split())
"""Class names and names of elements that are a post of a thread."""

_ASKING = (
    "question question-detail question-content question-body question-text question-main question-box question_detail "
    "question_content question_con question-con question_info questiondetail questioncontent questionheader "
    "userquestion q-content q_content q-detail q_article q-article qa-question wgt-ask ask-title ask_cont ask_con "
    "b_askcont ask-content ask_content ask-detail ask-box ptsqes mdpstdqstn consult-question consult-content "
    "problem-detail problem_detail problem-content wenti tiwen topicstarter"
)
_ANSWERING = (
    "answer answers answer-content answer-body answer-text answer-item answer-box answer_content answer_con answer-con "
    "answer_item answercontent answercell answeritem best-answer bestanswer accepted-answer suggested-answer qa-answer "
    "wgt-best wgt-answers best-text answer-detail b_anscont b_answerli b_anscont_cont a_article a-article a-content "
    "questionanswer-content mdpstdba mdpstdotherans doctor-answer doctor-reply doctor_answer doctor_reply doc-answer "
    "doc-reply doc_answer huida kaitou reply-content"
)
NAMED: dict[str, Role] = {**dict.fromkeys(_ASKING.split(), "question"), **dict.fromkeys(_ANSWERING.split(), "answer")}
"""Class names and ids of a question and of an answer: Stack Exchange, Zhihu, Baidu, Chinese consultation sites, Yahoo
and goo in Japan, Naver, and names that speak for themselves."""

HASHED = re.compile(r"clap\w*?(question|answer)item", re.ASCII)
"""Names of Yahoo Japan, which end in a hash."""

NUMBERED = re.compile(r"(?:post_?message|td_post|msg|pid)_?\d+", re.ASCII)
"""Ids of posts: vBulletin, Discuz, SMF, MyBB."""

TYPED: dict[str, Role] = {"Question": "question", "DiscussionForumPosting": "question", "Answer": "answer"}


@functools.lru_cache(1 << 14)
def _classed(css_class: str) -> str:
    """Return what the classes of an element say: `question`, `answer`, `post` or nothing."""
    css_class = css_class.lower()
    tokens = css_class.split()
    if not POSTS.isdisjoint(tokens):
        return "post"
    if found := HASHED.search(css_class):
        return found[1]
    return next((NAMED[token] for token in tokens if token in NAMED), "")


def _named(tag: str, names: Names) -> str:
    """Return what an element's names say: `question`, `answer`, `post` or nothing; `names` are those of a `Walk`."""
    css_class, css_id, _, _, itemtype = names
    if itemtype and (role := TYPED.get(itemtype.strip().rpartition("/")[2])):
        return role
    said = _classed(css_class) if css_class else ""
    if tag in POSTS:
        return "post"
    if not css_id or said == "post":
        return said
    lower = css_id.lower()
    if lower in POSTS or NUMBERED.fullmatch(css_id):
        return "post"
    return said or NAMED.get(lower, "")


def roles_of(walk: Walk) -> list[Role]:
    """Return for each block element of a walk whether it asks, answers, or neither.

    An element within another has its role. The first post of a thread asks, the others answer.
    """
    roles: list[Role] = []
    posts = 0
    for tag, parent, names in zip(walk.tags, walk.parents, walk.names, strict=True):
        role: Role = roles[parent] if parent >= 0 else ""
        said = "" if names is NAMELESS and "-" not in tag else _named(tag, names)
        if said == "post":
            if not role:
                role = "answer" if posts else "question"
                posts += 1
        elif said == "answer" or (said == "question" and not role):
            role = "answer" if said == "answer" else "question"
        roles.append(role)
    return roles


def kind_of(things: list[jsonld.Thing], walk: Walk, roles: list[Role]) -> str | None:
    """Return `qa` for a page that is one question or thread with its answers, else None.

    `things` are the page's objects of JSON-LD. A page whose FAQPage holds most of its text is questions and answers.
    """
    threads = sum(not {"QAPage", "DiscussionForumPosting"}.isdisjoint(jsonld.types(thing)) for thing in things)
    if threads:
        return "qa" if threads <= MAX_LISTED else None
    types = Counter(names[4].rpartition("/")[2] for names in walk.names if names[4])
    if types["QAPage"] == 1 or 1 <= types["DiscussionForumPosting"] <= MAX_LISTED:
        return "qa"
    begun = _begun(walk, roles)
    if begun.count("question") == 1 and "answer" in begun:
        return "qa"
    answered = sum(_answer_chars(thing) for thing in things if "Question" in set(jsonld.types(thing)))
    return "qa" if answered and answered >= FAQ_SHARE * sum(map(len, walk.texts)) else None


def _begun(walk: Walk, roles: list[Role]) -> list[Role]:
    """Return the roles of the outermost elements that have one, in the order of the page."""
    return [role for role, parent in zip(roles, walk.parents, strict=True) if role and role != roles[parent]]


def _answer_chars(question: Any) -> int:
    """Return the number of characters of a Question's accepted answer, or 0."""
    answer = question.get("acceptedAnswer")
    answer = answer[0] if isinstance(answer, list) and answer else answer
    return len(jsonld.text(answer.get("text"))) if isinstance(answer, dict) else 0
