"""What an engine is known not to do, by the test that shows it, with the reason why the platform can live with it.

Each is expected to fail: one that passes fails the suite, and so does one that names no test.
"""

from typing import Final

# By engine, then by test: a function's name stands for all its parameters, one with brackets for that one alone.
OPT_OUTS: Final[dict[str, dict[str, str]]] = {
    "apicurio": {
        "test_answers_have_the_media_type_of_the_api": "it says application/json, which clients take as well",
        "test_an_identifier_leads_to_its_subjects": "it has /versions of an identifier, which name its subjects",
        "test_one_schema_has_one_identifier_in_all_subjects": (
            "it compares texts, not schemas: the platform registers one and the same text every time"
        ),
        "test_a_version_is_a_positive_number_or_latest": (
            "an impossible version is answered as one that does not exist: the platform asks by identifier"
        ),
        "test_an_invalid_schema_is_refused[apicurio-]": (
            "an empty text gets an identifier: the platform's schemas are generated, and never empty"
        ),
        "test_an_invalid_level_is_refused": "it refuses by 400 without Confluent's code",
        "test_a_refusal_has_its_reasons_on_request": "its sentence stands under `reason`, not `messages`",
        "test_none_lets_everything_through": (
            "a subject has no level NONE of its own: it follows the global one, which is what the platform wants"
        ),
        "test_a_subject_follows_the_global_level_until_it_has_its_own": (
            "a subject without schemas is told as unknown: the platform sets the global level only"
        ),
        "test_subjects_are_listed_by_their_beginning": "it lists all subjects: the platform never asks for some",
        "test_the_mode_is_read_and_write": "it has no modes: nobody here sets one",
    },
}
