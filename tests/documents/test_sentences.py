"""Each sentence of Configure's three pages: its place, its first words, and the test of it.

A sentence of which there is nothing to test says why, after a dash. A test without a path is in this folder's module of
the page; each test of those modules is named here.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]
ABOUT_THE_PAGE: Final = "- about the page"
CONFIGURES: Final = "- what Configure does by itself"
SUPABASE: Final = "bearer/test_ready_settings.py::TestSupabase"
SESSION: Final = "bearer/test_check_session.py"
BETTER_AUTH: Final = "documents/test_better_auth.py"
INTEROP: Final = "interop/test_better_auth.py"

Row = tuple[str, str, str]

CUSTOM_IDENTITY_PROVIDER: tuple[Row, ...] = (
    ("Introduction 1", "Server-core is agent-only", "test_only_agents_and_their_owners_are_stored"),
    ("Introduction 2", "It doesn't store user profiles", "test_users_are_not_looked_up"),
    ("Introduction 3", "Agents have an ownerUserId field", "test_a_claim_sets_the_owner"),
    ("Introduction 4", "How you manage users is up to you", "test_the_owner_is_an_opaque_string"),
    ("Introduction 5", "This guide shows how", ABOUT_THE_PAGE),
    ("The interface 1", "Server-core needs exactly one thing", "test_a_claim_sets_the_owner"),
    ("The interface 2", "Everything else is your app layer", "test_the_app_serves_user_profiles"),
    ("The interface, sample 1", "ownerUserId is just a UUID string", "test_the_owner_is_an_opaque_string"),
    ("The interface, sample 2", "Set it when a user claims an agent", "test_a_claim_sets_the_owner"),
    ("Example 1", "Here's how moltzap-app wires Supabase", f"{SUPABASE}::test_a_user"),
    ("1. Validate JWTs 1", "Add a middleware that validates", "test_the_validated_subject_becomes_the_owner"),
    ("1. Validate JWTs, sample 1", "supabase.auth.getUser(token)", f"{SESSION}::test_a_session_that_exists"),
    ("1. Validate JWTs, sample 2", "if (error || !data.user) return null", f"{SESSION}::test_a_session_that_has_ended"),
    ("1. Validate JWTs, sample 3", "This becomes ownerUserId", "test_the_validated_subject_becomes_the_owner"),
    ("2. Add a claim endpoint 1", "When a user wants to connect an agent", "test_a_claim_sets_the_owner"),
    ("2. Add a claim endpoint, sample 1", "if (!userId) return", "test_a_claim_without_a_user_is_unauthorized"),
    (
        "2. Add a claim endpoint, sample 2",
        "where claim_token and pending_claim",
        "test_only_a_pending_agent_is_claimed",
    ),
    ("2. Add a claim endpoint, sample 3", "return c.json({ ok: true })", "test_a_claim_sets_the_owner"),
    ("3. Resolve user profiles 1", "Your app serves user profiles", "test_the_app_serves_user_profiles"),
    ("3. Resolve user profiles 2", "Server-core doesn't need them", "test_users_are_not_looked_up"),
    ("3. Resolve user profiles, sample", "select display_name, ...", "test_the_app_serves_user_profiles"),
    ("Key concepts 1", "Server-core trusts the external", "test_users_are_not_looked_up"),
    ("Key concepts 2", "It never validates JWTs", "test_users_are_not_looked_up"),
    ("Key concepts 3", "Your app does that", "test_a_claim_without_a_user_is_unauthorized"),
    ("Key concepts 4", "ownerUserId is an opaque string", "test_the_owner_is_an_opaque_string"),
    ("Key concepts 5", "It could be a Supabase user ID", "test_the_owner_is_an_opaque_string"),
    ("Key concepts 6", "Server-core doesn't care", "test_the_owner_is_an_opaque_string"),
    ("Key concepts 7", "User profiles live in your database", "test_the_app_serves_user_profiles"),
    ("Key concepts 8", "Display names, avatars, emails", "test_the_app_serves_user_profiles"),
    ("Key concepts 9", "Server-core only stores", "test_only_agents_and_their_owners_are_stored"),
    ("Troubleshooting 1", "The agent's ownerUserId is null", "test_an_unclaimed_agent_has_no_owner"),
    ("Troubleshooting 2", "The user needs to claim the agent first", "test_an_unclaimed_agent_has_no_owner"),
    ("Troubleshooting 3", "Agents register with ownerUserId: null", "test_an_unclaimed_agent_has_no_owner"),
    ("Troubleshooting 4", "The claim step is separate", "test_an_unclaimed_agent_has_no_owner"),
    ("Troubleshooting 5", "Make sure your claim endpoint runs", "test_an_unclaimed_agent_has_no_owner"),
    ("Troubleshooting 6", "Check that your SUPABASE_URL", f"{SUPABASE}::test_what_is_no_project"),
    ("Troubleshooting 7", "The Supabase client needs the correct", f"{SUPABASE}::test_nobody_else"),
    ("Troubleshooting 8", "Questions? Open an issue", ABOUT_THE_PAGE),
)

MESSAGE_AGENT_SSO: tuple[Row, ...] = (
    ("Introduction 1", "Use sign-in.me when your agent lives", "test_the_user_keeps_talking_in_the_original_thread"),
    ("Introduction 2", "The agent sends one hosted link", "test_the_server_stores_the_returned_agent_scoped_token"),
    ("Introduction 3", "This is the recommended pattern", "test_the_user_keeps_talking_in_the_original_thread"),
    (
        "Install, sample",
        "new Configure({ apiKey, agent })",
        "api/test_api_client.py::test_a_client_is_made_of_settings_or_of_their_parts",
    ),
    ("Install 1", "Keep CONFIGURE_API_KEY as an sk_ key", "test_each_key_has_its_place"),
    ("Install 2", "Use CONFIGURE_PUBLISHABLE_KEY only", "test_only_the_publishable_key_is_in_a_url"),
    ("The Pattern, 1", "Give every message sender", "test_every_sender_has_a_stable_external_id"),
    ("The Pattern, 2", "If you have a stored Configure token", "test_a_stored_token_is_used"),
    ("The Pattern, 3", "If the platform exposes phone-like", "test_configure_is_asked_to_recognize_a_phone"),
    ("The Pattern, 4", "If neither exists, continue", "test_without_token_and_phone_it_goes_on_with_the_external_id"),
    ("The Pattern, 5", "When the user asks to connect", "test_a_user_who_asks_to_connect_gets_a_sign_in_me_url"),
    ("The Pattern, sample 1", "if (identity.token && ...) store.save", "test_a_stored_token_is_used"),
    ("The Pattern 6", "returns either a linked token", "test_the_result_is_a_linked_token_or_the_same_external_id"),
    ("The Pattern 7", "That means the rest of your app", "test_one_identity_result_is_used_without_caring"),
    ("The Pattern 8", "For the hot path", "test_stored_tokens_are_trusted_by_default"),
    ("The Pattern 9", "Use validateToken: true when", "test_validate_token_asks_configure"),
    ("The Pattern 10", "For the simplest message-agent flow", "test_the_simplest_flow_needs_no_callback"),
    ("The Pattern 11", "The user completes hosted auth", "test_the_simplest_flow_needs_no_callback"),
    ("The Pattern, sample 2", "signInUrl({ publishableKey, ... })", "test_every_option_of_the_sample_is_in_the_url"),
    ("The Pattern 12", "The URL is hosted at", "test_every_option_of_the_sample_is_in_the_url"),
    ("The Pattern 13", "sign-in.me resolves the agent", "test_the_agent_comes_from_the_settings_alone"),
    ("The Pattern 14", "Do not add agent from request body", "test_the_agent_comes_from_the_settings_alone"),
    (
        "Photon/Spectrum 1",
        "Spectrum gives you an async stream",
        "test_a_spectrum_agent_needs_an_external_id_candidates_and_a_url",
    ),
    (
        "Photon/Spectrum 2",
        "Configure only needs a stable",
        "test_a_spectrum_agent_needs_an_external_id_candidates_and_a_url",
    ),
    ("Photon/Spectrum, sample 1", "filter(Boolean(value?.trim()))", "test_candidates_without_a_value_are_left_out"),
    (
        "Photon/Spectrum, sample 2",
        "for await (const [space, message]",
        "test_a_spectrum_agent_needs_an_external_id_candidates_and_a_url",
    ),
    ("Photon/Spectrum 3", "The Luke prototype used", "test_one_identity_result_is_used_without_caring"),
    (
        "Photon/Spectrum 4",
        "sign-in.me moves the verification",
        "test_the_server_stores_the_returned_agent_scoped_token",
    ),
    ("Completion Webhook 1", "If you want the browser flow", "test_the_browser_flow_notifies_the_server_immediately"),
    (
        "Completion Webhook, sample 1",
        "randomUUID, saveJourney, signInUrl",
        "test_the_browser_flow_notifies_the_server_immediately",
    ),
    (
        "Completion Webhook 2",
        "Hosted completion posts the agent token",
        "test_the_completion_has_token_user_agent_and_journey",
    ),
    ("Completion Webhook 3", "Validate the token before storing it", "test_a_token_is_validated_before_it_is_stored"),
    ("Completion Webhook, sample 2", "status(401)", "test_a_token_is_validated_before_it_is_stored"),
    ("Completion Webhook, sample 3", "status(404)", "test_an_unknown_journey_is_not_found"),
    ("Completion Webhook, sample 4", "consumeJourney", "test_a_journey_is_consumed"),
    (
        "Completion Webhook, sample 5",
        "{ ok: true, linked: true }",
        "test_the_completion_has_token_user_agent_and_journey",
    ),
    (
        "Completion Webhook 4",
        "Accept completion requests only",
        "test_completions_are_accepted_from_the_hosted_page_only",
    ),
    ("Completion Webhook 5", "sign-in.me will call same-origin", "test_which_endpoints_sign_in_me_calls"),
    (
        "Better Auth 1",
        "If your app already uses Better Auth",
        f"{BETTER_AUTH}::test_the_app_stays_the_owner_of_its_session",
    ),
    (
        "Better Auth 2",
        "Use this when Configure is an account",
        f"{BETTER_AUTH}::test_the_app_stays_the_owner_of_its_session",
    ),
    ("Better Auth, sample 1", "if (!session) return", f"{BETTER_AUTH}::test_a_start_without_a_session_is_unauthorized"),
    (
        "Better Auth, sample 2",
        "signInUrl, Response.redirect",
        f"{BETTER_AUTH}::test_a_start_redirects_to_the_hosted_sign_in",
    ),
    ("Better Auth 3", "Register the callback once", f"{BETTER_AUTH}::test_the_callback_is_registered_once"),
    (
        "Better Auth 4",
        "Then exchange the short-lived code",
        f"{BETTER_AUTH}::test_the_code_is_exchanged_with_the_secret_key",
    ),
    (
        "Better Auth, sample 3",
        "if (!code || !state)",
        f"{BETTER_AUTH}::test_a_callback_without_code_or_state_is_a_bad_request",
    ),
    ("Better Auth, sample 4", "if (!userId)", f"{BETTER_AUTH}::test_an_invalid_state_is_a_bad_request"),
    (
        "Better Auth, sample 5",
        "redirect to the settings",
        f"{BETTER_AUTH}::test_the_code_is_exchanged_with_the_secret_key",
    ),
    (
        "OAuth Provider 1",
        "Use this when Configure should appear",
        f"{BETTER_AUTH}::test_login_and_link_are_for_different_moments",
    ),
    ("OAuth Provider 2", "Better Auth's Generic OAuth plugin", f"{INTEROP}::test_a_person_signs_in"),
    (
        "OAuth Provider 3",
        "The Configure helper sets the pieces",
        f"{BETTER_AUTH}::test_the_login_has_the_pieces_of_the_provider",
    ),
    ("OAuth Provider, sample", "genericOAuth({ config: [...] })", f"{INTEROP}::test_a_person_signs_in"),
    ("OAuth Provider 4", "If your Better Auth schema requires", f"{BETTER_AUTH}::test_an_email_is_never_made_up"),
    ("OAuth Provider 5", "decide how your app handles", f"{BETTER_AUTH}::test_a_person_with_a_phone_only_can_sign_in"),
    ("OAuth Provider 6", "Use Better Auth OAuth when", f"{BETTER_AUTH}::test_login_and_link_are_for_different_moments"),
    (
        "OAuth Provider 7",
        "Use the account-link flow when",
        f"{BETTER_AUTH}::test_login_and_link_are_for_different_moments",
    ),
    ("SDK Helpers 1", "auth.signInUrl(options)", "test_sign_in_url_takes_a_custom_hosted_origin"),
    ("SDK Helpers 2", "auth.resolveMessageIdentity(options)", "test_resolve_message_identity_prefers_the_stored_token"),
    ("SDK Helpers 3", "auth.recognizePhone(candidates)", "test_recognize_phone_is_for_approved_agents"),
    (
        "SDK Helpers 4",
        "auth.validateSignInToken(token)",
        "test_validate_sign_in_token_checks_that_it_belongs_to_this_agent",
    ),
    ("SDK Helpers 5", "auth.exchangeSignInCode(code)", "test_exchange_sign_in_code_gives_an_agent_token"),
    (
        "SDK Helpers 6",
        "auth.allowSignInReturnTo(returnTo)",
        "test_allow_sign_in_return_to_takes_callbacks_and_deep_links",
    ),
    (
        "SDK Helpers 7",
        "configureBetterAuthOAuthProvider",
        f"{BETTER_AUTH}::test_the_login_has_the_pieces_of_the_provider",
    ),
    ("SDK Helpers 8", "sk_ keys are always server-side", "test_a_wrong_key_is_refused"),
    ("SDK Helpers 9", "pk_ keys are only for hosted", "test_only_the_publishable_key_is_in_a_url"),
)

SERVER_SIDE_USERS: tuple[Row, ...] = (
    ("Unfederated profiles 1", "Server-side users are not federated", "test_cross_agent_sharing_is_disabled"),
    (
        "Unfederated profiles 2",
        "Their profiles are only visible",
        "test_other_developers_agents_cannot_see_the_profile",
    ),
    ("Unfederated profiles 3", "and cross-agent profile sharing", "test_cross_agent_sharing_is_disabled"),
    ("Unfederated profiles 4", "Reads are metered at a premium rate", CONFIGURES),
    ("Unfederated profiles 5", "To unlock federation", "test_verifying_the_phone_unlocks_federation"),
    ("Unfederated profiles 6", "the same without a page", "test_configure_creates_the_link_that_verifies_the_phone"),
    ("When to use this 1", "This pattern is for agents", "demo/test_cli_bot.py::test_the_bot_remembers_and_is_asked"),
    ("When to use this 2", "If your agent has any kind of web UI", "test_the_element_has_the_same_identifier"),
    ("When to use this 3", "It's simpler, gives users", "test_after_federation_every_approved_agent_sees_the_profile"),
    ("Pass your own user ID 1", "Instead of authenticating users", "test_calls_are_scoped_to_the_apps_own_id"),
    ("Pass your own user ID, sample", "No token needed", "test_calls_are_scoped_to_the_apps_own_id"),
    ("Pass your own user ID 2", "Configure auto-creates a profile", "test_a_profile_is_created_on_first_contact"),
    ("Pass your own user ID 3", "The userId can be any stable string", "test_the_id_can_be_any_stable_string"),
    ("Limitations 1", "Profile reads/writes", "test_profile_reads_and_writes"),
    ("Limitations 2", "Memory extraction", "test_profile_reads_and_writes"),
    ("Limitations 3", "Connected tools", "test_a_refusal_for_want_of_a_linked_person_says_so"),
    ("Limitations 4", "Cross-agent profile sharing", "test_other_developers_agents_cannot_see_the_profile"),
    (
        "Limitations 5",
        "Visible to other developers' agents",
        "test_after_federation_every_approved_agent_sees_the_profile",
    ),
    ("Limitations 6", "Read pricing", CONFIGURES),
    ("Upgrading to federated 1", "When you're ready", "test_the_element_has_the_same_identifier"),
    ("Upgrading to federated 2", "When the user completes", "test_all_memories_transfer"),
    ("Upgrading to federated 3", "All memories, preferences", "test_all_memories_transfer"),
    ("Upgrading to federated 4", "Tool connections and conversation history", CONFIGURES),
    ("Upgrading to federated 5", "Agent-specific data", CONFIGURES),
    ("Upgrading to federated 6", "The old unfederated profile", "test_the_merge_is_one_way_and_once"),
    ("Upgrading to federated 7", "After federation", "test_after_federation_every_approved_agent_sees_the_profile"),
    ("Upgrading to federated 8", "Reads return to standard pricing", CONFIGURES),
    ("external-id is optional 1", "If you omit the external-id", "test_without_external_id_nothing_is_merged"),
    ("external-id is optional 2", "Always pass external-id", "test_the_element_has_the_same_identifier"),
    ("external-id is optional 3", "See Authenticating users", ABOUT_THE_PAGE),
)

PAGES: Final = {
    "test_custom_identity_provider.py": CUSTOM_IDENTITY_PROVIDER,
    "test_message_agent_sso.py": MESSAGE_AGENT_SSO,
    "test_server_side_users.py": SERVER_SIDE_USERS,
}


def names_in(module: Path) -> set[str]:
    """The names of a module's tests, with their class."""
    names: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return {name for name in names if name.rpartition("::")[2].startswith("test_")}


@pytest.mark.parametrize("page", PAGES)
def test_each_sentence_has_a_test_or_a_reason(page: str) -> None:
    rows = PAGES[page]
    assert len({place for place, _, _ in rows}) == len(rows)
    for place, _, test in rows:
        if not test.startswith("- "):
            module, _, name = test.partition("::") if ".py" in test else (f"documents/{page}", "", test)
            assert name in names_in(TESTS / module), place


def test_each_test_of_the_pages_is_named() -> None:
    named = {test.rpartition("::")[2] for rows in PAGES.values() for _, _, test in rows}
    for module in (*PAGES, "test_better_auth.py"):
        assert names_in(TESTS / "documents" / module) <= named
