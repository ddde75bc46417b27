-- What a trace asks: which messages repeat or replay this one, and which replays touched it. Both are rare, so the
-- partial index costs intake nothing for a message that is the first of its kind.
SET search_path = hilum, public;

CREATE INDEX message_copy ON message (copy_of) WHERE copy_of IS NOT NULL;
CREATE INDEX replay_result_original ON replay_result (original);
CREATE INDEX replay_result_copy ON replay_result (copy) WHERE copy IS NOT NULL;
CREATE INDEX crosswalk_entry_target ON crosswalk_entry (target);
