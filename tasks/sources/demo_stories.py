"""The words of the demo library's stories."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StoryChapter:
    number: str
    title: str
    lines: tuple[str, ...]
    """What is said, a line a panel, over and over through the chapter's pages; none: it is only linked to."""
    edition: str = ""
    """Tells chapters of one number apart in their ids."""
    language: str = "en"
    group: str = "Demo Scans"


@dataclass(frozen=True)
class Story:
    """A story of `pages` pages a chapter, each `size` pixels, with `panels` panels, in `image_type`."""

    id: str
    title: str
    description: str
    year: int
    status: str
    scene: str
    image_type: str
    size: tuple[int, int]
    panels: int
    pages: int
    chapters: tuple[StoryChapter, ...]


LANTERN = Story(
    id="lantern",
    title="The Lantern Keeper's Cat",
    description="A lighthouse, a keeper who forgets things, and the cat who remembers them.",
    year=2024,
    status="completed",
    scene="sea",
    image_type="JPEG",
    size=(840, 1200),
    panels=3,
    pages=6,
    chapters=(
        StoryChapter(
            "1", "The Light", ("Another quiet evening.", "Did I light the lamp?", "Meow.", "You are right. Not yet.")
        ),
        StoryChapter(
            "2",
            "Fog",
            ("I can't see the harbour.", "Then listen for it.", "A bell, far away.", "Somebody is out there."),
        ),
        StoryChapter("2.5", "A Nap", ("Shh.", "The cat is asleep.", "So is the wind.")),
        StoryChapter("3", "The Boat", ("Ahoy, lighthouse!", "Ahoy! Bring fish.", "Who asked for fish?", "Meow.")),
        StoryChapter(
            "4", "Oil", ("The barrel is empty.", "We have candles.", "Four hundred of them.", "Then let us begin.")
        ),
        StoryChapter(
            "5",
            "Letters",
            ("A letter from the mainland.", "They want to send a machine.", "Can it purr?", "It can not."),
        ),
        StoryChapter(
            "6", "The Machine", ("It blinks by itself.", "It never gets tired.", "It never says good morning.")
        ),
        StoryChapter(
            "7",
            "Night Watch",
            ("The machine stopped.", "Where are the candles?", "Meow!", "Under your paw, of course."),
        ),
        StoryChapter(
            "8", "Storm", ("Hold the door!", "The ships see us.", "One, two, three of them.", "All of them home.")
        ),
        StoryChapter("9", "Morning", ("Look, the sea is flat.", "As if nothing happened.", "We know better.")),
        StoryChapter(
            "10", "Visitors", ("So this is the keeper?", "No, I only carry the matches.", "The keeper is over there.")
        ),
        StoryChapter(
            "11", "The Keeper", ("Good night, keeper.", "Meow.", "I will remember tomorrow.", "You won't. I will.")
        ),
    ),
)
HILLS = Story(
    id="hills",
    title="Post for the Hills",
    description="A letter carrier walks five hills a day and finds that every letter is about the same thing.",
    year=2025,
    status="ongoing",
    scene="hills",
    image_type="PNG",
    size=(800, 1150),
    panels=4,
    pages=8,
    chapters=(
        StoryChapter(
            "1",
            "First Hill",
            ("One letter today.", "For the house with the red roof.", "It is a long way up.", "Letters weigh little."),
        ),
        StoryChapter("2", "Second Hill", ("Is there an answer?", "Tell her: yes.", "Yes to what?", "She knows.")),
        StoryChapter(
            "3", "Third Hill", ("The goats again.", "They ate a postcard.", "It only said hello.", "Then hello, goats.")
        ),
        StoryChapter("4", "Fourth Hill", ("Rain on the way.", "The ink will run.", "Then I will run faster.")),
        StoryChapter(
            "5",
            "Fifth Hill",
            ("This one is for you.", "For me?", "Come home for supper, it says.", "Which hill is home?"),
        ),
        StoryChapter("6", "Sixth Hill", ()),
        StoryChapter(
            "1",
            "The First Hill",
            ("A single letter.", "Red roof, top of the hill.", "Quite a climb.", "Paper is light."),
            "-valley",
            group="Valley Readers",
        ),
        StoryChapter(
            "2",
            "The Second Hill",
            ("Will you answer her?", "Say yes.", "To which question?", "To all of them."),
            "-valley",
            group="Valley Readers",
        ),
        StoryChapter(
            "1",
            "La primera colina",
            ("Hoy, una carta.", "Para la casa del tejado rojo.", "Queda muy arriba.", "Las cartas pesan poco."),
            "-es",
            "es",
            "Cartero Scans",
        ),
        StoryChapter(
            "2",
            "La segunda colina",
            ("¿Hay respuesta?", "Dígale que sí.", "¿Sí a qué?", "Ella lo sabe."),
            "-es",
            "es",
            "Cartero Scans",
        ),
    ),
)
FALLING = Story(
    id="falling",
    title="Falling Up",
    description="A paper boat that rises through the clouds; one long strip to scroll.",
    year=2026,
    status="ongoing",
    scene="sky",
    image_type="WEBP",
    size=(800, 5000),
    panels=1,
    pages=3,
    chapters=(
        StoryChapter(
            "1",
            "Puddle",
            ("A boat in a puddle.", "The puddle looks at the sky.", "The sky looks back.", "And up it goes."),
        ),
        StoryChapter("2", "Clouds", ("Softer than water.", "Colder, too.", "Somebody left the stars on.", "Good.")),
        StoryChapter("3", "Moon", ("Is there a harbour?", "There is a crater.", "It will do.", "Good night, boat.")),
    ),
)
STORIES = (LANTERN, HILLS, FALLING)
