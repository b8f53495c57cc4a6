"""What ANP asks for, as far as it is spoken here: every MUST and SHOULD of ANP-06, and those of ANP-02, 07, 08 and of the
Core Binding (P1) that are met, each in our own words with the tests that try it.

`divergence` says where we, or the package anp 1.0.7, do something else than the sentence; empty: nothing is known.
"""

from typing import Literal, NamedTuple


class Requirement(NamedTuple):
    """One sentence of a specification."""

    id: str
    clause: str
    level: Literal["MUST", "SHOULD"]
    sentence: str
    tests: tuple[str, ...]
    divergence: str = ""


def _row(id: str, level: str, sentence: str, tests: str, divergence: str = "") -> Requirement:  # noqa: A002
    clause = id.rpartition("/")[0]
    assert level in ("MUST", "SHOULD")
    return Requirement(id, clause, "MUST" if level == "MUST" else "SHOULD", sentence, tuple(tests.split()), divergence)


_NO_BUSINESS_PROFILE = "ANP-06 names anp.rpc.v1 in its examples, and no specification defines it"

ANP_06 = (
    _row(
        "ANP-06 3.3/1",
        "MUST",
        "anp.negotiate is of exactly the profile anp.meta.negotiation.v1",
        "test_a_negotiation_says_with_whom_and_which_it_is test_a_bare_domain_leads_to_a_routine_without_a_model_and_one_negotiation",
    ),
    _row(
        "ANP-06 3.4/1",
        "SHOULD",
        "Trust in who and where comes from the DID document first",
        "test_the_did_document_decides_where_is_negotiated test_a_description_whose_proof_does_not_hold_is_refused",
    ),
    _row(
        "ANP-06 3.4/2",
        "SHOULD",
        "Then the runtime capabilities are asked for",
        "test_a_bare_domain_leads_to_a_routine_without_a_model_and_one_negotiation",
    ),
    _row(
        "ANP-06 3.4/3",
        "SHOULD",
        "What the description says of the interface is a hint",
        "test_the_did_document_decides_where_is_negotiated",
    ),
    _row(
        "ANP-06 3.4/4",
        "MUST",
        "Where hints and runtime capabilities differ the latter count, and what is cached is renewed",
        "test_runtime_capabilities_count_before_the_description test_trigger_other_capabilities",
    ),
    _row("ANP-06 3.5/1", "MUST", "A result is no credential and no authorization", "test_a_result_allows_nothing"),
    _row(
        "ANP-06 4.1/1",
        "SHOULD",
        "The profile has this one name everywhere",
        "test_anybody_is_told_what_is_spoken_here test_the_domains_page_and_the_description_lead_to_everything",
    ),
    _row(
        "ANP-06 4.3/1",
        "MUST",
        "The runtime capabilities declare the profile",
        "test_anybody_is_told_what_is_spoken_here",
    ),
    _row(
        "ANP-06 4.3/2",
        "MUST",
        "anp.negotiate is handled at the endpoint",
        "test_a_structured_call_with_an_artifact_is_selected",
    ),
    _row(
        "ANP-06 4.3/3",
        "MUST",
        "The basic fields of a MetaProtocolInterface are recognized",
        "test_the_variants_of_a_description_are_one test_an_interface_that_lacks_what_negotiating_takes_is_none",
    ),
    _row(
        "ANP-06 4.3/4",
        "MUST",
        "Negotiation works under transport-protected",
        "test_a_structured_call_with_an_artifact_is_selected",
    ),
    _row(
        "ANP-06 4.3/5",
        "MUST",
        "A structured result comes back",
        "test_a_structured_call_with_an_artifact_is_selected test_a_result_that_is_not_whole_is_refused",
    ),
    _row(
        "ANP-06 4.3/6",
        "MUST",
        "What is not supported is an explicit error, by what it is",
        "test_what_cannot_be_met_is_an_error_that_says_which test_what_a_request_says_of_itself_is_held_against_the_profile",
    ),
    _row(
        "ANP-06 4.3/7",
        "MUST",
        "A result is not read as leave to do the business",
        "test_a_result_allows_nothing test_a_call_that_a_person_must_agree_to_is_not_made_without_one",
    ),
    _row(
        "ANP-06 5.2/1",
        "MUST",
        "The interface says type, profile, binding, url and methods, anp.negotiate among them",
        "test_the_domains_page_and_the_description_lead_to_everything",
    ),
    _row(
        "ANP-06 5.2/2",
        "SHOULD",
        "It says id, protocol, version, securityProfiles, negotiates and description",
        "test_the_domains_page_and_the_description_lead_to_everything",
    ),
    _row(
        "ANP-06 5.5/1",
        "SHOULD",
        "One endpoint for the methods of ANP",
        "test_the_did_document_has_the_endpoint test_a_tool_is_called_by_its_name",
        "business calls have an endpoint of their own below it (/anp/rpc): their params are no Core Binding, as those of "
        "the SDK's servers are not",
    ),
    _row(
        "ANP-06 5.5/2",
        "SHOULD",
        "However URLs are laid out, DID document and runtime capabilities are asked",
        "test_the_did_document_decides_where_is_negotiated",
    ),
    _row(
        "ANP-06 6.4/1",
        "SHOULD",
        "anp.get_capabilities is called before the first interaction",
        "test_a_bare_domain_leads_to_a_routine_without_a_model_and_one_negotiation",
    ),
    _row(
        "ANP-06 7.1/1",
        "MUST",
        "A service-scoped use would have to define its own target binding",
        "test_a_negotiation_says_with_whom_and_which_it_is",
        "only agent-addressed requests are taken",
    ),
    _row(
        "ANP-06 7.3/1",
        "SHOULD",
        "The body names the negotiation and the mode; structured_selection is the default",
        "test_the_mode_is_structured_selection_unless_said_otherwise test_without_a_negotiation_id_the_requests_id_names_the_result",
    ),
    _row("ANP-06 7.3/2", "MUST", "The body has an intent", "test_what_cannot_be_met_is_an_error_that_says_which"),
    _row(
        "ANP-06 7.3/3",
        "SHOULD",
        "The body says what the caller can do",
        "test_only_what_is_needed_to_select_is_disclosed",
    ),
    _row(
        "ANP-06 7.3/4",
        "SHOULD",
        "A long text is not all that a candidate protocol has for a machine",
        "test_an_artifact_among_the_candidates_that_a_tool_serves_is_agreed_to "
        "test_an_artifact_carries_its_document_and_everything_read_off_it",
    ),
    _row(
        "ANP-06 7.4/1",
        "SHOULD",
        "The intent has tags",
        "test_only_what_is_needed_to_select_is_disclosed",
        "ours are effect.safe and effect.transactional alone; there is no register of tags",
    ),
    _row(
        "ANP-06 7.4/2",
        "SHOULD",
        "No more is disclosed than negotiating takes",
        "test_only_what_is_needed_to_select_is_disclosed",
    ),
    _row(
        "ANP-06 8.2/1",
        "MUST",
        "A result has an id and one of three statuses",
        "test_a_structured_call_with_an_artifact_is_selected test_a_result_that_is_not_whole_is_refused",
    ),
    _row(
        "ANP-06 8.2/2", "MUST", "An accepted result says what is selected", "test_a_result_that_is_not_whole_is_refused"
    ),
    _row(
        "ANP-06 8.2/3", "SHOULD", "A result says how to execute", "test_a_structured_call_with_an_artifact_is_selected"
    ),
    _row(
        "ANP-06 8.2/4",
        "SHOULD",
        "A result has a digest",
        "test_the_results_digest_is_of_all_that_it_says",
        "the algorithm is not specified: ours is SHA-256 over the canonical JSON without the digest, and a peer's is kept and "
        "not recomputed",
    ),
    _row(
        "ANP-06 9/1",
        "SHOULD",
        "A draft is not stable before both sides accept it",
        "test_a_draft_is_agreed_to_only_by_naming_its_digest",
    ),
    _row(
        "ANP-06 9/2",
        "SHOULD",
        "Drafts become structured fields, schemas, examples and test cases",
        "test_a_draft_is_agreed_to_only_by_naming_its_digest "
        "test_a_document_of_ours_is_proposed_where_what_was_selected_does_not_fit",
    ),
    _row(
        "ANP-06 10.1/1",
        "SHOULD",
        "The cache key holds the target's DID",
        "test_each_task_is_negotiated_for_itself_and_a_transactional_one_is_called_in_the_callers_name",
    ),
    _row(
        "ANP-06 10.1/2",
        "SHOULD",
        "The cache key holds the caller's DID and capabilities",
        "test_trigger_our_own_side_has_changed",
    ),
    _row(
        "ANP-06 10.1/3",
        "SHOULD",
        "The cache key holds the intent",
        "test_each_task_is_negotiated_for_itself_and_a_transactional_one_is_called_in_the_callers_name",
    ),
    _row(
        "ANP-06 10.1/4",
        "SHOULD",
        "The cache key holds interface, profile, security profile and digest",
        "test_what_was_selected_is_there_after_a_restart",
        "they are in the entry, which the first three name: before a result is there they are not known",
    ),
    _row("ANP-06 10.1/5", "SHOULD", "Renegotiate when validUntil has passed", "test_trigger_a_result_that_has_expired"),
    _row(
        "ANP-06 10.1/6",
        "SHOULD",
        "Renegotiate when capabilities are inconsistent with the cache",
        "test_trigger_other_capabilities",
        "looked at every 5 minutes of use",
    ),
    _row(
        "ANP-06 10.1/7",
        "SHOULD",
        "Renegotiate when the DID document or its service changes",
        "test_trigger_another_did_document",
        "looked at every 5 minutes of use",
    ),
    _row(
        "ANP-06 10.1/8",
        "SHOULD",
        "Renegotiate when a call is answered as unsupported",
        "test_trigger_a_call_that_is_answered_as_unsupported test_trigger_a_call_that_stays_unsupported_ends_in_a_typed_error",
    ),
    _row(
        "ANP-06 10.1/9",
        "SHOULD",
        "Renegotiate when local policy, security requirements or user authorization change",
        "test_trigger_our_own_side_has_changed",
    ),
    _row(
        "ANP-06 10.3/1",
        "SHOULD",
        "What was selected is used at once, and an explicit error leads to negotiating again",
        "test_trigger_a_call_that_is_answered_as_unsupported test_what_cannot_be_called_is_an_error_that_says_why",
    ),
    _row(
        "ANP-06 11/1",
        "SHOULD",
        "Errors have the numbers 1600 to 1608, with anp_code",
        "test_what_cannot_be_met_is_an_error_that_says_which test_a_request_that_was_made_long_ago_has_expired "
        "test_a_sender_that_is_named_and_not_proved_is_asked_for_its_proof test_an_unsafe_or_broken_artifact_among_the_candidates_is_refused",
    ),
    _row(
        "ANP-06 12.1/1",
        "SHOULD",
        "A caller that names itself, or asks for what is sensitive, proves who it is",
        "test_only_what_is_needed_to_select_is_disclosed test_we_take_its_origin_proof_once_and_nothing_else "
        "test_a_sender_that_is_named_and_not_proved_is_asked_for_its_proof",
        "ANP-06's example of a proof has no signatureInput, so that nothing could check it: the form of P1 A.2 is used",
    ),
    _row(
        "ANP-06 12.2/1",
        "MUST",
        "Where a person's authorization is needed the business flow still gets it",
        "test_a_call_that_a_person_must_agree_to_is_not_made_without_one test_a_person_is_asked_for_each_call_anew "
        "test_human_authorization_is_handed_on_as_it_came test_an_interface_that_wants_a_person_is_not_called_without_one",
        "how a person's consent is evidenced to the peer is left open by ANP, and nothing is sent of it",
    ),
    _row(
        "ANP-06 12.3/1",
        "SHOULD",
        "The intent is a summary, without payloads",
        "test_only_what_is_needed_to_select_is_disclosed",
    ),
    _row(
        "ANP-06 12.3/2",
        "SHOULD",
        "The caller's capabilities are trimmed",
        "test_only_what_is_needed_to_select_is_disclosed",
    ),
    _row("ANP-06 12.3/3", "SHOULD", "Logs of negotiations are redacted", "test_no_log_line_holds_what_was_negotiated"),
    _row(
        "ANP-06 12.4/1",
        "MUST",
        "No silent downgrade of the security profile, on either side",
        "test_a_required_security_profile_is_never_silently_weaker test_a_selection_of_what_was_not_asked_for_is_no_selection "
        "test_an_agent_that_speaks_no_security_profile_of_ours_is_no_peer",
    ),
    _row(
        "ANP-06 12.5/1",
        "SHOULD",
        "An artifact's digest is verified",
        "test_an_artifact_with_a_wrong_digest_an_unsafe_part_or_no_proof_is_refused test_another_digest_than_the_one_that_was_selected_is_refused",
    ),
    _row(
        "ANP-06 12.5/2",
        "SHOULD",
        "An artifact's publisher or signature is verified",
        "test_an_artifact_with_a_wrong_digest_an_unsafe_part_or_no_proof_is_refused",
        "an artifact that names no publisher is taken from the origin that selected its digest",
    ),
    _row(
        "ANP-06 12.5/3",
        "SHOULD",
        "An artifact's schemas are whole",
        "test_an_artifact_with_a_wrong_or_unsafe_part_is_refused test_a_schema_that_the_digest_does_not_cover_is_not_taken",
    ),
    _row(
        "ANP-06 12.5/4",
        "SHOULD",
        "An artifact's version and dependencies are verified",
        "test_an_artifact_with_a_wrong_or_unsafe_part_is_refused",
        "the version is covered by the digest or proof and not compared: there is no order of versions",
    ),
    _row(
        "ANP-06 12.5/5",
        "SHOULD",
        "An artifact holds no code, no instructions to run, no permissions",
        "test_an_artifact_with_a_wrong_or_unsafe_part_is_refused test_an_unsafe_or_broken_artifact_among_the_candidates_is_refused",
    ),
    _row("ANP-06 12.5/6", "MUST", "Whatever code is generated runs in a sandbox", "test_attacks.py"),
    _row(
        "ANP-06 13/1",
        "MUST",
        "The binary PT header and its flows are not implemented or depended on",
        "test_the_binary_meta_protocol_is_refused_by_the_name_of_the_current_one test_the_binary_meta_protocol_is_refused_wherever_it_comes "
        "test_a_binary_reply_is_refused_by_name",
    ),
    _row(
        "ANP-06 14.4/1",
        "SHOULD",
        "Id and digest of the negotiation are kept before the business call",
        "test_what_was_selected_is_there_after_a_restart",
    ),
)

P1 = (
    _row(
        "P1 4.1/1",
        "MUST",
        "JSON-RPC 2.0, said in each message",
        "test_a_request_that_is_none_of_the_binding_is_refused_by_its_number",
    ),
    _row(
        "P1 4.2/1",
        "MUST",
        "Only over an authenticated and encrypted transport",
        "test_an_agent_of_plain_http_negotiates_with_nobody",
        "plain http to the machine's own names is let pass",
    ),
    _row(
        "P1 5.1/1",
        "MUST",
        "Params are an object",
        "test_a_request_that_is_none_of_the_binding_is_refused_by_its_number",
    ),
    _row(
        "P1 5.2/1",
        "MUST",
        "Ids are texts that are not empty",
        "test_a_request_that_is_none_of_the_binding_is_refused_by_its_number",
    ),
    _row(
        "P1 5.4/1",
        "MUST",
        "Batches are refused",
        "test_batches_and_broken_json_are_refused",
        "openanp's servers take batches; none are sent to them",
    ),
    _row(
        "P1 5.6/1",
        "MUST",
        "A response has the request's id, and a result or an error",
        "test_a_response_repeats_the_id_and_holds_a_result_or_an_error test_a_response_that_is_none_of_ours_is_refused",
    ),
    _row(
        "P1 6.1/1",
        "MUST",
        "Params are meta, auth and body alone",
        "test_a_request_that_is_none_of_the_binding_is_refused_by_its_number",
    ),
    _row(
        "P1 6.2/1",
        "MUST",
        "The sender is named unless it is anonymous",
        "test_a_sender_that_signed_the_request_is_proved test_without_an_identity_only_what_is_public_is_selected",
    ),
    _row(
        "P1 6.2/2",
        "MUST",
        "A target of another kind than the method's is an error of its own",
        "test_a_negotiation_says_with_whom_and_which_it_is",
    ),
    _row(
        "P1 6.2/3",
        "MUST",
        "Device selectors are refused where no overlay asks for them",
        "test_what_a_request_says_of_itself_is_held_against_the_profile",
    ),
    _row(
        "P1 6.2/4",
        "MUST",
        "anp_version selects nothing",
        "test_extensions_of_meta_and_the_old_version_hint_change_nothing",
    ),
    _row(
        "P1 8.1/1",
        "MUST",
        "Capabilities say profiles, security profiles, who serves, and limits",
        "test_anybody_is_told_what_is_spoken_here test_capabilities_need_who_says_them_and_what_is_spoken",
    ),
    _row(
        "P1 9.1/1",
        "MUST",
        "The same operation again gets the same result, another under its id a conflict, before anything else is looked at",
        "test_the_same_operation_gets_the_same_result_and_another_under_its_id_a_conflict test_two_at_once_of_one_operation_are_one_negotiation "
        "test_a_lost_reply_to_a_negotiation_is_asked_for_again_under_its_operation",
    ),
    _row(
        "P1 10.4/1",
        "MUST",
        "Errors of ANP's own numbers have an anp_code, and tell no internals",
        "test_what_cannot_be_met_is_an_error_that_says_which",
    ),
    _row(
        "P1 12.1/1",
        "MUST",
        "Unknown fields of meta and auth are refused, x_ fields are not",
        "test_what_a_request_says_of_itself_is_held_against_the_profile test_extensions_of_meta_and_the_old_version_hint_change_nothing",
    ),
    _row(
        "P1 A.2/1",
        "MUST",
        "An origin proof has its three fields, label sig1, and covers method, target and digest",
        "test_its_check_takes_our_origin_proof_and_no_other_body test_an_origin_proof_of_something_else_is_refused",
    ),
    _row(
        "P1 A.6/1",
        "MUST",
        "An origin proof is checked whole: content, target, key, time and replay",
        "test_we_take_its_origin_proof_once_and_nothing_else test_we_refuse_its_proof_of_another_time test_an_origin_proof_stands_for_a_signature",
    ),
    _row(
        "P1 A.7/1",
        "MUST",
        "The proof's key is of the sender that is named",
        "test_a_sender_that_signed_the_request_is_proved test_an_origin_proof_stands_for_a_signature",
    ),
)

ANP_02 = (
    _row(
        "ANP-02 3.1.1/1",
        "MUST",
        "Requests are signed by RFC 9421, bodies by RFC 9530",
        "test_a_signed_request_comes_in_under_the_callers_did test_the_package_takes_our_signature_and_we_its_token",
    ),
    _row(
        "ANP-02 3.1.1/2",
        "MUST",
        "Method, target and the body's digest are covered",
        "test_a_signature_that_leaves_something_open_is_refused_though_it_is_the_keys "
        "test_known_divergence_the_package_takes_a_signature_that_leaves_something_open",
        "anp 1.0.7 checks what is covered, and not that it is enough",
    ),
    _row(
        "ANP-02 3.1.1/3",
        "MUST",
        "keyid is a whole DID URL, created is there",
        "test_fields_of_another_form_are_refused_in_the_words_of_anp_02",
    ),
    _row(
        "ANP-02 3.1.1/4",
        "MUST",
        "A nonce of the server's challenge is the one that is used",
        "test_the_package_answers_our_challenge",
    ),
    _row(
        "ANP-02 3.2.1/1",
        "MUST",
        "The body is the one of its digest",
        "test_we_refuse_the_packages_request_with_a_change test_the_package_refuses_our_request_with_a_change "
        "test_its_server_refuses_our_request_with_a_change",
    ),
    _row(
        "ANP-02 3.2.1/2",
        "MUST",
        "The key is one of the DID's for authentication",
        "test_another_key_than_the_dids_is_refused test_the_package_and_we_refuse_another_key",
    ),
    _row(
        "ANP-02 3.2.1/3",
        "MUST",
        "The time is within the window",
        "test_out_of_its_time_a_request_is_refused test_the_package_and_we_refuse_a_request_of_another_time "
        "test_known_divergence_the_package_takes_a_signature_of_the_next_minute",
        "anp 1.0.7 lets clocks differ by 60 seconds, we by 30",
    ),
    _row(
        "ANP-02 3.2.1/4",
        "MUST",
        "A nonce is good once",
        "test_a_repeated_request_is_refused test_the_package_refuses_our_request_twice test_its_server_refuses_our_request_with_a_change",
    ),
    _row(
        "ANP-02 3.2.1/5",
        "MUST",
        "The target is the one that was signed",
        "test_a_request_to_somebody_else_cannot_be_made_here test_we_refuse_the_packages_request_twice_and_for_another "
        "test_known_divergence_the_server_of_the_package_takes_its_own_name_from_the_request",
        "openanp's middleware builds the target from the Host field of the request: what was signed for another host is taken",
    ),
    _row(
        "ANP-02 3.2.1/6",
        "MUST",
        "Who is proved and may not is answered with 403",
        "test_an_agent_that_hears_a_list_refuses_others_though_proven",
        "over ANP's endpoint a caller that may not use a tool gets the error 1006, with HTTP 200",
    ),
    _row(
        "ANP-02 3.2.3/1",
        "MUST",
        "A token comes in Authentication-Info",
        "test_the_first_proof_is_a_signature_and_the_next_the_token_it_was_given_for test_we_take_the_packages_document_and_signature_and_it_our_token",
    ),
    _row(
        "ANP-02 3.2.4/1",
        "MUST",
        "A refusal says why in the words of ANP-02",
        "test_a_refusal_names_the_realm_and_gives_a_nonce_to_repeat_with",
    ),
    _row(
        "ANP-02 7/1",
        "SHOULD",
        "Tokens are returned over HTTPS alone",
        "test_a_token_is_not_kept_where_others_can_read_it",
    ),
    _row(
        "ANP-02 B/1",
        "MUST",
        "A did:web document is the one of its DID, and its key is for authentication",
        "test_a_document_of_another_did_is_refused test_another_key_than_the_dids_is_refused",
    ),
)

ANP_07 = (
    _row(
        "ANP-07 description/1",
        "MUST",
        "A description says protocolType, protocolVersion, type, name, securityDefinitions and security",
        "test_the_domains_page_and_the_description_lead_to_everything test_the_variants_of_a_description_are_one",
        "openanp emits type Product and security as an object: read, and never written",
    ),
    _row(
        "ANP-07 security/1",
        "MUST",
        "The security that is in force is defined",
        "test_the_domains_page_and_the_description_lead_to_everything",
    ),
    _row(
        "ANP-07 human/1",
        "MUST",
        "humanAuthorization true: a person agrees to the call",
        "test_an_interface_that_wants_a_person_is_not_called_without_one",
    ),
    _row(
        "ANP-07 proof/1",
        "MUST",
        "The domain of the proof is where the description was found",
        "test_a_description_whose_proof_does_not_hold_is_refused test_the_description_is_proved_by_the_identity_for_its_domain",
    ),
    _row(
        "ANP-07 proof/2",
        "MUST",
        "A domain comes with a challenge",
        "test_the_description_is_proved_by_the_identity_for_its_domain",
    ),
    _row(
        "ANP-07 proof/3",
        "MUST",
        "The proof is over the canonical description",
        "test_its_resolver_finds_our_document_and_its_check_takes_our_description test_a_description_whose_proof_does_not_hold_is_refused",
        "the suite is eddsa-jcs-2022, as in ANP-03 and P1; ANP-07's own recipe names no suite and leaves the options unsigned",
    ),
    _row(
        "ANP-07 openrpc/1",
        "MUST",
        "An interface has openrpc, info and methods with params and result",
        "test_a_tool_comes_back_from_its_interface_as_the_same_document test_its_client_discovers_our_agent_proves_itself_and_calls",
    ),
)

ANP_08 = (
    _row(
        "ANP-08 well-known/1",
        "MUST",
        "A domain's agents are at /.well-known/agent-descriptions",
        "test_the_domains_page_and_the_description_lead_to_everything test_a_bare_domain_leads_to_a_routine_without_a_model_and_one_negotiation",
        "openanp serves no such page: its descriptions are looked for where they are by custom; an agent mounted below a path "
        "shows its page below it, and the host has to show it at its root",
    ),
    _row(
        "ANP-08 document/1",
        "MUST",
        "The page is a CollectionPage of items with type, name and id",
        "test_the_domains_page_and_the_description_lead_to_everything test_a_page_is_read_whatever_its_items_are_called_by",
    ),
    _row(
        "ANP-08 pagination/1",
        "SHOULD",
        "Pages are followed until there is no next",
        "test_a_domain_with_several_agents_wants_one_of_them_named",
    ),
    _row(
        "ANP-08 security/1",
        "SHOULD",
        "Only what is public is described",
        "test_what_is_published_to_nobody_is_not_described",
    ),
    _row(
        "ANP-08 security/2",
        "SHOULD",
        "Descriptions are validated",
        "test_a_description_whose_proof_does_not_hold_is_refused",
    ),
)

REQUIREMENTS = (*ANP_06, *P1, *ANP_02, *ANP_07, *ANP_08)
