//! How to take away what protects from each attack of SECURITY.md, and which of its tests notice.

/// A change to a source after which an attack succeeds.
pub struct Protection {
    /// The row of SECURITY.md.
    pub attack: &'static str,
    pub file: &'static str,
    /// What stands in the file exactly once, and what is put in its place.
    pub from: &'static str,
    pub to: &'static str,
    /// Tests of the row, each of which fails then.
    pub noticed_by: &'static [&'static str],
    /// One of those that CI takes away each time.
    pub is_quick: bool,
}

const fn protection(
    attack: &'static str,
    file: &'static str,
    [from, to]: [&'static str; 2],
    noticed_by: &'static [&'static str],
) -> Protection {
    Protection { attack, file, from, to, noticed_by, is_quick: false }
}

impl Protection {
    const fn quick(mut self) -> Self {
        self.is_quick = true;
        self
    }
}

pub const PROTECTIONS: &[Protection] = &[
    protection(
        "A flood of made-up keys pushes an exhausted key out of the limiter, which comes back with a new quota",
        "core/src/rate_limiter/newcomer.rs",
        ["self.ledger.settle(print, &self.quota, entry.idle_at(), beside, now);", "let _ = (print, beside);"],
        &["no_key_gets_more_than_its_quota", "a_full_table_never_resets_a_quota"],
    ),
    protection(
        "It locks out those who are known",
        "core/src/rate_limiter/gcra.rs",
        ["if is_used_up { None } else { Some(own.as_nanos()) }", "{ let _ = is_used_up; Some(own.as_nanos()) }"],
        &["the_entry_that_was_used_least_goes_and_its_debt_stays"],
    )
    .quick(),
    protection(
        "It ends attempts of the caching limiter, or has one made twice",
        "core/src/rate_limiter/cached/kept.rs",
        [
            "self.attempt.map_or(Instant::ZERO, |attempt| attempt.ends_at).later(self.idle_at.get())",
            "self.idle_at.get()",
        ],
        &["an_attempt_in_flight_keeps_its_entry_from_reuse"],
    )
    .quick(),
    protection(
        "It closes breakers that are open, or blocks calls for want of room",
        "core/src/circuit_breaker/cell/mod.rs",
        [
            "BreakerState::HalfOpen | BreakerState::Open => now >= since.after(self.reset.longest_open()),",
            "BreakerState::HalfOpen | BreakerState::Open => since < Instant::MAX,",
        ],
        &["a_full_table_blocks_nothing_and_forgets_no_open_breaker"],
    )
    .quick(),
    protection(
        "It keeps errors out of the log",
        "core/src/logger/slots.rs",
        ["other.events.level < slot.events.level", "other.events.level > slot.events.level"],
        &["a_lesser_line_makes_room_for_a_graver_one"],
    )
    .quick(),
    protection(
        "Keys that were chosen to collide make every operation slow",
        "core/src/foundation/hash/mod.rs",
        ["Sip::new_with_keys(self.0.0, self.0.1)", "Sip::new_with_keys(self.0.0 & 0, self.0.1 & 0)"],
        &["a_known_secret_is_a_way_in_and_another_closes_it"],
    ),
    protection(
        "Values or times that were chosen make an operation super-linear",
        "core/src/aggregate/order.rs",
        ["patience = patience.saturating_sub(1);", ""],
        &["selection_stays_linear_for_voters_who_know_it"],
    ),
    protection(
        "Values or times that were chosen make an operation super-linear",
        "core/src/correlator/slab/mod.rs",
        ["index.saturating_sub(from) >= CLOSED_AT_ONCE", "index.saturating_sub(from) >= CLOSED_AT_ONCE * 1_000"],
        &["no_step_of_closing_looks_at_many_slots"],
    ),
    protection(
        "A flood of ids flushes the dedup cache, then old messages are sent again",
        "core/src/dedup_cache/mod.rs",
        ["let may_forget = self.on_full == OnFull::ForgetOldest;", "let may_forget = true;"],
        &["a_flood_cannot_make_a_replay_guard_forget", "a_replay_guard_refuses_and_forgets_nothing"],
    ),
    protection(
        "A flood of ids flushes the dedup cache, then old messages are sent again",
        "core/src/dedup_cache/mod.rs",
        ["self.forgotten_at = self.forgotten_at.max(Some(at));", "let _ = at;"],
        &["a_flood_shortens_what_a_gossip_filter_knows_and_it_says_so"],
    ),
    protection(
        "One message at the same time on many threads",
        "core/src/dedup_cache/claim.rs",
        ["&& self.is_alive(place, time)", "&& self.is_alive(place, time) && false"],
        &["the_work_is_done_once"],
    ),
    protection(
        "A message at the end of its life",
        "core/src/dedup_cache/mod.rs",
        [
            "self.ids.get(place).is_some_and(|held| now < self.lives.end(held))",
            "self.ids.get(place).is_some_and(|held| now <= self.lives.end(held))",
        ],
        &["vector_03_expiry_holds_on_a_read"],
    )
    .quick(),
    protection(
        "A message whose handler fails is lost, or done twice",
        "core/src/dedup_cache/guard.rs",
        ["let _id = self.cache.with(|cache, now| cache.abort(ticket, now));", "let _ = ticket;"],
        &["a_failed_handler_may_try_again_wherever_its_future_is_dropped"],
    ),
    protection(
        "A message whose handler fails is lost, or done twice",
        "core/src/dedup_cache/claim.rs",
        ["(held.state == ticket.state && now < self.lives.end(held))", "(now < self.lives.end(held))"],
        &["of_an_abandoned_claim_and_its_successor_one_commits"],
    ),
    protection(
        "An id that comes again after its end is given the answer of its former life",
        "core/src/dedup_cache/mod.rs",
        ["if keeps::<V>() {", "if keeps::<V>() && false {"],
        &["a_new_life_shows_no_answer_of_the_former_one", "it_does_what_a_list_does_at_every_capacity"],
    ),
    protection(
        "A step back resets a quota, or locks out",
        "core/src/rate_limiter/newcomer.rs",
        ["self.latest.since(now) > LATE {", "self.latest.since(now) > LATE && false {"],
        &[
            "gcra_grants_one_burst_a_step_and_nobody_waits_longer_than_a_burst",
            "a_sliding_log_grants_one_window_a_step_and_nobody_waits_longer_than_a_window",
        ],
    ),
    protection(
        "It keeps ids, calls, ballots, batches, groups or breakers for ever",
        "core/src/dedup_cache/mod.rs",
        ["self.marked.step_back(&mut self.ids, step);", ""],
        &["after_a_step_back_no_id_outlives_one_life"],
    ),
    protection(
        "It keeps ids, calls, ballots, batches, groups or breakers for ever",
        "core/src/correlator/slab/mod.rs",
        ["Slot::Live(phase) => phase.step_back(behind),", "Slot::Live(_) => None,"],
        &["a_clock_that_steps_back_stalls_no_call_for_longer_than_its_time_out"],
    ),
    protection(
        "The end of time makes sums overflow",
        "core/src/rate_limiter/gcra.rs",
        [
            "(moved.as_nanos() < Instant::MAX.as_nanos() || self.interval.is_zero())",
            "moved.as_nanos() <= Instant::MAX.as_nanos()",
        ],
        &["the_end_of_time_admits_nothing_for_free"],
    ),
    protection(
        "A crowd storms a service that has just come back",
        "core/src/circuit_breaker/cell/mod.rs",
        [
            "cell.state == BreakerState::HalfOpen && cell.admitted >= self.reset.probe_count()",
            "cell.state == BreakerState::HalfOpen && cell.admitted > self.reset.probe_count()",
        ],
        &["d13_half_open_admits_exactly_its_probes", "seed_7_3_14_of_a_hundred_threads_one_is_the_probe"],
    )
    .quick(),
    protection(
        "A probe that never reports wedges the breaker",
        "core/src/circuit_breaker/cell/mod.rs",
        ["cell.wait(self.reset.lease_span(), now)?;", "cell.wait(Span::MAX, Instant::ZERO)?;"],
        &["seed_7_3_12_a_lost_probe_does_not_wedge_it"],
    ),
    protection(
        "Results of old calls open or close it",
        "core/src/circuit_breaker/cell/mod.rs",
        ["if !cell.is_current(generation) {", "if !cell.is_current(generation) && false {"],
        &["d12_a_late_failure_does_not_reopen"],
    ),
    protection(
        "A server's hint makes clients wait for ever, or hammer it",
        "core/src/retry/mod.rs",
        ["self.policy.capped(Span::new(hint))", "Span::new(hint)"],
        &["d5_a_hint_is_cut_to_the_maximum_delay_and_never_shortens_one"],
    ),
    protection(
        "An outage is met with a multiple of the usual load",
        "core/src/retry/budget.rs",
        ["self.balance.checked_sub(RETRY)", "Some(self.balance.saturating_sub(RETRY))"],
        &[
            "a_budget_grants_its_burst_then_a_share_of_the_requests",
            "operations_make_no_more_retries_together_than_there_are",
        ],
    ),
    protection(
        "A third party answers",
        "core/src/correlator/slab/mod.rs",
        ["if phase.peer() != from {", "if phase.peer() != from && false {"],
        &["seed_1_17_a_third_party_cannot_answer"],
    )
    .quick(),
    protection(
        "Somebody guesses ids",
        "core/src/correlator/id.rs",
        ["        high << 16 | low\n", "        high & 0 | low & 0 | counter\n"],
        &["seed_defect_ids_cannot_be_told_from_earlier_ones"],
    ),
    protection(
        "A late or doubled reply reaches another call",
        "core/src/correlator/slab/mod.rs",
        ["let number = self.numbers.next();", "let number = self.numbers.next() & 0;"],
        &["a_late_reply_never_reaches_the_call_that_took_the_slot"],
    ),
    protection(
        "One voter votes twice, or under many names",
        "core/src/quorum/voting.rs",
        [
            "self.voters.as_ref().iter().position(is_voter)",
            "self.voters.as_ref().iter().position(is_voter).filter(|_| false)",
        ],
        &["seed_8_4_one_voter_does_not_fill_the_quorum"],
    )
    .quick(),
    protection(
        "One voter votes twice, or under many names",
        "core/src/quorum/voting.rs",
        [
            "None if self.listed => return Some(Vote::Stranger),",
            "None if self.listed && self.closed => return Some(Vote::Stranger),",
        ],
        &["a_flood_of_voters_takes_no_vote_from_those_on_the_list"],
    ),
    protection(
        "Liars vote first",
        "core/src/quorum/tally.rs",
        ["match self.threshold.saturating_sub(self.len()) {", "match self.threshold.saturating_sub(self.len() * 3) {"],
        &["a_threshold_of_twice_the_liars_and_one_believes_no_liar"],
    ),
    protection(
        "A name or message breaks the line, colours it, turns it around, or ends the terminal's patience",
        "core/src/logger/text.rs",
        ["let is_shown = match rules {", "let is_shown = true || match rules {"],
        &["seed_4_4_no_field_can_forge_a_line", "a_formatter_cannot_break_the_line_either"],
    )
    .quick(),
    protection(
        "A name passes for another's, or joins its group",
        "core/src/logger/names.rs",
        ["self.print == name.print()", "name.print() != 0"],
        &["long_names_of_the_same_look_are_told_apart"],
    ),
    protection(
        "A nonce is used twice",
        "core/src/encryptor/mod.rs",
        ["rng.try_fill_bytes(&mut nonce)", "rng.try_fill_bytes(&mut [0; 24])"],
        &["seed_2_3_two_seals_of_one_message_differ", "it_is_shared_between_threads_and_no_nonce_repeats"],
    ),
    protection(
        "The power fails where a nonce is made of a counter, and the counter comes again",
        "core/src/session/counter_reserve.rs",
        [
            "Self { next: stored, limit: stored, block }",
            "Self { next: stored.saturating_sub(1), limit: stored, block }",
        ],
        &[
            "no_nonce_repeats_and_the_link_goes_on_wherever_the_power_fails",
            "no_counter_repeats_and_each_write_yields_some_whatever_happens_to_the_power_and_the_storage",
        ],
    ),
    protection(
        "A changed message opens, or leaves plaintext behind",
        "core/src/encryptor/mod.rs",
        [".map_err(|_undifferentiated| EncryptorError::Decrypt)", ".or(Ok(()))"],
        &["seed_2_3_what_is_refused"],
    ),
    protection(
        "Keys stay in memory, or are shown",
        "core/src/foundation/hash/mod.rs",
        ["f.write_str(\"HashSeed(..)\")", "write!(f, \"HashSeed({:?})\", self.0)"],
        &["neither_a_seed_nor_its_hasher_shows_the_secret"],
    ),
    protection(
        "Some sequence of calls, with arguments as odd as can be, ends in a panic",
        "tests/firmware/no_panic/src/votes.rs",
        ["            see(votes.reset_to(ballot, now(), now()));\n", ""],
        &["found_e6_every_public_function_is_in_the_proof"],
    ),
    protection(
        "A callback panics",
        "std-adapter/src/logger/writing.rs",
        [
            "let payload = match catch_unwind(AssertUnwindSafe(f)) {",
            "let payload: Box<dyn core::any::Any + Send> = match Ok(f()) {",
        ],
        &["seed_4_4_a_formatter_that_panics_costs_nothing"],
    ),
    protection(
        "A flush or a sink that hangs or fails stops the rest",
        "core/src/logger/slots.rs",
        [
            "        if self.is_stopped {\n            return;",
            "        if self.is_stopped && events == u64::MAX {\n            return;",
        ],
        &["a_refusing_sink_cannot_keep_a_shutdown_from_ending"],
    ),
    protection(
        "A caller that goes away keeps a slot, a place or a wake-up",
        "core/src/correlator/wait.rs",
        ["            self.on.give_up(call);", "            let _ = call;"],
        &["a_call_can_be_dropped_at_every_await"],
    ),
    protection(
        "Datagrams that are forged or damaged",
        "examples/stash/protocol/src/wire.rs",
        ["if !message.from.verifies(signed, signature) {", "if !message.from.verifies(signed, signature) && false {"],
        &["every_flipped_bit_is_refused"],
    ),
    protection(
        "A victim is flooded with replies, by its address on the attacker's datagrams",
        "examples/stash/protocol/src/confidant/job.rs",
        [
            "if !self.cookies.accept(message.cookie, owner, source) {",
            "if !self.cookies.accept(message.cookie, owner, source) && false {",
        ],
        &["nothing_is_done_for_an_address_that_is_not_proven"],
    ),
    protection(
        "A message costs far more than its length, or waits for a disk, while everybody else waits",
        "examples/stash/protocol/src/confidant/job.rs",
        ["within(self.commits_of_owners.allow(&Payer::Owner(*owner), now), now)?;", ""],
        &["found_f1_commits_that_reach_the_medium_are_counted_by_owner_and_by_address"],
    ),
    protection(
        "Owners who are made up, with proven addresses",
        "examples/stash/protocol/src/confidant/job.rs",
        [
            "let limit = if found { &mut self.owners_limit } else { &mut self.strangers_limit };",
            "let limit = if found && false { &mut self.owners_limit } else { &mut self.strangers_limit };",
        ],
        &["a_flood_of_strangers_takes_nothing_from_an_owner"],
    ),
    protection(
        "Recorded datagrams are sent again, after a restart too",
        "examples/stash/protocol/src/confidant/job.rs",
        ["self.cookies.advance(now);", ""],
        &["a_cookie_dies_after_two_minutes_at_the_latest_and_one_at_the_earliest"],
    ),
    protection(
        "Made-up keys take the names from the log",
        "examples/stash/protocol/src/names.rs",
        ["if !is_kept(&oldest.peer) {", "if !is_kept(&oldest.peer) || true {"],
        &["found_f9_made_up_keys_take_no_name_for_longer_than_until_the_next_greeting"],
    ),
    protection(
        "One confidant offers an old version",
        "examples/stash/protocol/src/confidant/ledger.rs",
        ["Some(held) if held.version > version => return Err(Refusal::OlderVersion { held: held.version }),", ""],
        &["versions_only_grow"],
    ),
    protection(
        "A confidant reads, mixes or changes what it keeps",
        "examples/stash/protocol/src/vault.rs",
        [
            ".chain(chunks.to_le_bytes()).chain(index.to_le_bytes())",
            ".chain(chunks.to_le_bytes()).chain((index & 0).to_le_bytes())",
        ],
        &["a_chunk_opens_in_its_own_place_only"],
    ),
    protection(
        "A damaged folder, or a full disk, locks owners out or takes what was acknowledged",
        "examples/stash/src/disk/root.rs",
        ["    fs::rename(folder, &free)?;\n", ""],
        &["found_f4_what_is_damaged_is_set_aside_and_the_rest_is_served"],
    ),
    protection(
        "A damaged folder, or a full disk, locks owners out or takes what was acknowledged",
        "examples/stash/src/disk/folder.rs",
        ["        let settled = self.settle();", "        let settled: io::Result<()> = Ok(());"],
        &["found_f5_a_commit_that_fails_at_its_very_end_takes_nothing_from_what_is_kept"],
    ),
    protection(
        "What somebody else owns is removed, replaced or followed to",
        "examples/stash/src/disk/root.rs",
        ["        check_new(root)?;\n", ""],
        &["found_f2_a_folder_of_somebody_else_is_refused_and_left_as_it_was"],
    ),
    protection(
        "What somebody else owns is removed, replaced or followed to",
        "examples/stash/src/disk/folder.rs",
        ["is_ours(name) && name != MANIFEST", "name != MANIFEST"],
        &["found_f2_what_others_put_into_the_folder_stays"],
    ),
    protection(
        "What somebody else owns is removed, replaced or followed to",
        "examples/stash/src/durable.rs",
        [
            "        Ok(found) => check_file(found.file_type()),\n        Err(error)",
            "        Ok(_) => Ok(()),\n        Err(error)",
        ],
        &["found_f3_what_is_no_regular_file_is_neither_replaced_nor_followed"],
    ),
    protection(
        "A refund or a change of the quota lets more through than the limit",
        "core/src/rate_limiter/log.rs",
        ["(0..cost).for_each(|_| self.pop_front());", "self.len = self.len.saturating_sub(cost as u16);"],
        &["found_a12_no_refund_lets_more_through_than_the_log_allows"],
    ),
    protection(
        "A refund or a change of the quota lets more through than the limit",
        "core/src/rate_limiter/gcra.rs",
        [
            "now.after(owed.scaled_up(former.unit(), self.unit()).shorter(self.tolerance))",
            "now.after(owed.shorter(self.tolerance))",
        ],
        &["found_a3_changes_in_a_row_give_nothing_away"],
    ),
    protection(
        "A reading of the clock that comes late ages what others have",
        "core/src/foundation/readings.rs",
        ["} else if now >= self.behind.after(patience) {", "} else if now <= self.behind.after(patience) {"],
        &["found_a11_a_late_reading_ages_nobody"],
    ),
    protection(
        "A service takes calls and never answers, so that no breaker sees it",
        "core/src/circuit_breaker/cell/mod.rs",
        [
            "if now.since(permit.started_at) >= self.reset.call_timeout {",
            "if false && now.since(permit.started_at) >= self.reset.call_timeout {",
        ],
        &["found_a6_a_call_that_takes_its_timeout_fails_whatever_its_outcome"],
    )
    .quick(),
    protection(
        "Slow, dead peers and a table full of idle breakers keep breakers closed",
        "core/src/circuit_breaker/cell/mod.rs",
        [
            "is_untouched || now >= since.after(self.reset.memory()) && !self.trip.reaches_back_to(since, now)",
            "is_untouched || now >= since.after(self.reset.longest_open())",
        ],
        &["found_a5_a_janitor_never_blinds_a_breaker"],
    ),
    protection(
        "A recorded packet is sent again over the air, or a forged one makes the receiver refuse true ones",
        "core/src/session/replay_window.rs",
        ["*block |= bit(counter);", "let _ = block;"],
        &[
            "each_packet_is_taken_once_in_any_order_and_no_forged_one_moves_the_window",
            "in_all_orders_each_fresh_counter_is_accepted_once_in_the_smallest_window",
        ],
    ),
    protection(
        "A vote for a former ballot comes late",
        "core/src/quorum/voting.rs",
        ["let vote = if ballot == self.ballot {", "let vote = if ballot == self.ballot || true {"],
        &["found_b4_a_late_vote_of_the_former_ballot_decides_nothing"],
    )
    .quick(),
    protection(
        "Calls that nobody polls or reaps fill the table of calls",
        "core/src/correlator/slab/mod.rs",
        ["if self.held == self.capacity() {", "if self.held == self.capacity() && false {"],
        &["found_a14_calls_that_have_timed_out_make_room_for_new_ones"],
    )
    .quick(),
    protection(
        "A future that waits and is never polled holds up all who wait behind it",
        "core/src/foundation/wait_list.rs",
        ["let after = asks_at.after(GRACE.times(ahead));", "let after = asks_at.after(GRACE.times(ahead | 1 << 40));"],
        &["found_a1_a_waiter_that_nobody_polls_delays_others_by_a_bound_only"],
    ),
    protection(
        "A client writes addresses into `X-Forwarded-For`, to be another or a new one each time",
        "std-adapter/tower/src/keys/peer_ip.rs",
        ["line.as_bytes().rsplit(|byte| *byte == b',')", "line.as_bytes().split(|byte| *byte == b',')"],
        &["no_header_of_a_client_changes_its_key", "behind_proxies_the_hop_counts_from_the_right_over_all_lines"],
    ),
    protection(
        "It takes another IPv6 address for each request",
        "std-adapter/tower/src/keys/peer_ip.rs",
        ["first_of(address, self.v6_prefix)", "first_of(address, self.v6_prefix | 128)"],
        &["addresses_of_one_prefix_are_one_client"],
    ),
    protection(
        "Requests that one quota denies use up the others that are asked with it",
        "std-adapter/tower/src/limit/decide.rs",
        ["        self.refund(&mut asked);\n        let denied", "        let denied"],
        &["who_loses_a_race_between_asking_and_taking_gets_everything_back"],
    ),
    protection(
        "A request with an `Idempotency-Key` is sent many times at once, or the client hangs up and sends it again while \
         the first is worked on",
        "std-adapter/tower/src/idempotency/service.rs",
        ["            claim.keep();", "            drop(claim);"],
        &["while_the_first_is_worked_on_others_are_told_when_to_come_again"],
    ),
    protection(
        "Somebody else's key, or the same one with another payload, is sent to see the answer",
        "std-adapter/tower/src/idempotency/service.rs",
        [
            "Some(stored) if stored.fingerprint != fingerprint =>",
            "Some(stored) if stored.fingerprint == !fingerprint =>",
        ],
        &["another_request_with_the_same_key_is_refused"],
    ),
    protection(
        "A client asks for years, or for a time that is none, to keep work running",
        "std-adapter/tower/src/deadline/service.rs",
        ["deadline: callers.min(own)", "deadline: if callers < Deadline::NEVER { callers } else { own }"],
        &["no_client_gets_more_than_the_bound_whatever_it_writes"],
    ),
    protection(
        "Callers without patience open the breaker to a service that is well",
        "std-adapter/tower/src/breaker/outcome.rs",
        [
            "Ok(response) if response.extensions().get::<Deadline>().is_some() &&",
            "Ok(response) if response.extensions().len() > 99 &&",
        ],
        &["callers_without_patience_open_no_breaker"],
    ),
    protection(
        "It keeps ids, calls, ballots, batches, groups or breakers for ever",
        "core/src/retry/mod.rs",
        ["self.progress.started_at = self.progress.started_at.earlier(now);", ""],
        &["a_clock_that_steps_back_prolongs_it_by_what_there_was_at_most"],
    ),
    protection(
        "Two versions of a shared quota, asked in turn, hand out more than the larger one",
        "core/src/rate_limiter/gcra_state.rs",
        ["if self.interval == unit { debt } else { debt.scaled_up(self.interval, unit) }", "debt"],
        &["what_was_used_of_one_quota_is_used_of_another"],
    ),
    protection(
        "The clock that servers share steps back, to lock out or to give out",
        "core/src/rate_limiter/gcra_state.rs",
        ["since(self.at.later(now))", "since(now)"],
        &["a_clock_that_steps_back_costs_and_gives_nothing", "a_denial_notes_the_step_back"],
    ),
    protection(
        "A flood of made-up keys grows what a server keeps of a shared limiter",
        "std-adapter/redis/src/limiter/denials.rs",
        ["capacity.div_ceil(WAYS)", "capacity"],
        &["a_flood_of_keys_takes_no_more_memory"],
    ),
    protection(
        "A key of one shared limiter is made to be that of another",
        "std-adapter/redis/src/key.rs",
        ["let name = escaped(name);", ""],
        &["no_two_are_called_the_same"],
    ),
];
