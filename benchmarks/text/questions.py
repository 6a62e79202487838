"""What is asked in `text_search`: sentences in both languages, no two alike."""

from dataclasses import dataclass
from pathlib import Path

from models.text_video.captions import read_captions

LANGUAGES = ("en", "zh")
STEP = 37  # shares no factor with the number of sentences: neighbours differ in both parts

# A sentence is a scene at a place; the Chinese place stands between who and what.
SCENES = (
    ("two dogs are running", "两只狗", "奔跑"),
    ("a brown dog is catching a ball", "一只棕色的狗", "接球"),
    ("a cat is sleeping", "一只猫", "睡觉"),
    ("a boy in a red shirt is jumping", "穿红衣服的男孩", "跳跃"),
    ("a little girl is laughing", "一个小女孩", "大笑"),
    ("a man with a hat is playing the guitar", "戴帽子的男人", "弹吉他"),
    ("a woman is talking on the phone", "一个女人", "打电话"),
    ("three children are playing", "三个孩子", "玩耍"),
    ("an old man is sitting and reading", "一位老人", "坐着看书"),
    ("a cyclist is riding fast", "骑自行车的人", "飞驰"),
    ("a skateboarder is doing a trick", "玩滑板的人", "做动作"),
    ("people are dancing", "人们", "跳舞"),
    ("a crowd is waiting", "一群人", "等待"),
    ("a football team is training", "一支足球队", "训练"),
    ("a white horse is walking", "一匹白马", "行走"),
    ("a bride and a groom are kissing", "新娘和新郎", "接吻"),
    ("a motorcyclist is racing", "摩托车手", "比赛"),
    ("a child is blowing soap bubbles", "一个孩子", "吹泡泡"),
    ("a climber is resting", "一个登山者", "休息"),
    ("a cook is cutting vegetables", "一位厨师", "切菜"),
    ("a baby is crying", "一个婴儿", "哭"),
    ("a photographer is taking pictures", "一位摄影师", "拍照"),
    ("birds are flying", "一群鸟", "飞翔"),
    ("a red car is turning", "一辆红色的汽车", "转弯"),
    ("a girl in a blue dress is singing", "穿蓝色裙子的女孩", "唱歌"),
)
PLACES = (
    ("on the grass", "在草地上"),
    ("in the snow", "在雪地里"),
    ("at the beach", "在海滩上"),
    ("beside a swimming pool", "在游泳池边"),
    ("in a city street", "在城市的街道上"),
    ("in front of a brick wall", "在砖墙前"),
    ("under a large tree", "在大树下"),
    ("in a kitchen", "在厨房里"),
    ("on a stage", "在舞台上"),
    ("by the river", "在河边"),
    ("on a bridge", "在桥上"),
    ("in the rain", "在雨中"),
    ("at night", "在夜里"),
    ("in a park", "在公园里"),
    ("near a fountain", "在喷泉旁"),
    ("on a dirt road", "在土路上"),
    ("in the mountains", "在山里"),
    ("on a wooden bench", "在木头长椅旁"),
    ("at a market", "在市场里"),
    ("in an empty room", "在空房间里"),
)


@dataclass(frozen=True)
class Question:
    """A sentence and the language that it is in, `en` or `zh`."""

    text: str
    language: str


def questions(count: int, data: Path | None) -> list[Question]:
    """As many different questions, English and Chinese by turns.

    Args:
        count: of both together.
        data: whose validation photos' captions, written by people, are asked instead of the list.

    Raises:
        ValueError: there are fewer.
        MissingDataError: no captions in `data`.
    """
    each = [_captions(data, language) if data else _sentences(language) for language in LANGUAGES]
    asked = [
        Question(text, language)
        for pair in zip(*each, strict=False)
        for text, language in zip(pair, LANGUAGES, strict=True)
    ]
    if count > len(asked):
        raise ValueError(f"{count} questions wanted, expected at most {len(asked)}")
    return asked[:count]


def _sentences(language: str) -> list[str]:
    made = []
    for number in range(0, STEP * len(SCENES) * len(PLACES), STEP):
        scene, place = divmod(number % (len(SCENES) * len(PLACES)), len(PLACES))
        (english, who, what), (where, chinese_where) = SCENES[scene], PLACES[place]
        made.append(f"{english} {where}" if language == "en" else f"{who}{chinese_where}{what}")
    return made


def _captions(data: Path, language: str) -> list[str]:
    """The first caption of every photo, then the second ones, without repeats."""
    photos = read_captions(data / "captions" / "flickr8k-val.jsonl")
    texts = [photo.captions.get(language, []) for photo in photos]
    most = max(map(len, texts))
    return list(dict.fromkeys(each[at] for at in range(most) for each in texts if at < len(each)))
