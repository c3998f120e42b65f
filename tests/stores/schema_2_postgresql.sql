CREATE TABLE configure_parameters (
	name VARCHAR(255) NOT NULL,
	value VARCHAR(255) NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE configure_states (
	state_hash VARCHAR(64) NOT NULL,
	browser_hash VARCHAR(64) NOT NULL,
	intent VARCHAR(8) NOT NULL,
	agent VARCHAR(63) NOT NULL,
	user_id VARCHAR(255),
	next TEXT,
	verifier TEXT,
	code TEXT,
	redirect_uri TEXT NOT NULL,
	version BIGINT,
	replace BOOLEAN NOT NULL,
	created_at FLOAT(53) NOT NULL,
	expires_at FLOAT(53) NOT NULL,
	claimed_at FLOAT(53),
	finished_at FLOAT(53),
	outcome TEXT,
	replay TEXT,
	replay_until FLOAT(53),
	PRIMARY KEY (state_hash)
);
CREATE INDEX configure_states_browser ON configure_states (browser_hash, agent, created_at);
CREATE INDEX configure_states_user ON configure_states (agent, user_id);
CREATE INDEX configure_states_replay ON configure_states (replay_until);
CREATE INDEX configure_states_end ON configure_states (expires_at);
CREATE TABLE configure_users (
	agent VARCHAR(63) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (agent, user_id)
);
CREATE TABLE configure_owners (
	agent VARCHAR(63) NOT NULL,
	configure_user_id VARCHAR(255) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	PRIMARY KEY (agent, configure_user_id)
);
CREATE TABLE configure_accounts (
	agent VARCHAR(63) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	kind VARCHAR(8) NOT NULL,
	configure_user_id VARCHAR(255) NOT NULL,
	token TEXT NOT NULL,
	expires_at FLOAT(53),
	scopes TEXT NOT NULL,
	linked_at FLOAT(53) NOT NULL,
	needs_reconnect BOOLEAN NOT NULL,
	refresh_sent_at FLOAT(53),
	refresh_sends INTEGER NOT NULL,
	serial VARCHAR(32) NOT NULL,
	PRIMARY KEY (agent, user_id, kind),
	CONSTRAINT configure_accounts_identity UNIQUE (agent, configure_user_id, kind)
);
CREATE TABLE configure_leases (
	name VARCHAR(400) NOT NULL,
	owner VARCHAR(64) NOT NULL,
	until FLOAT(53) NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE configure_journeys (
	journey_hash VARCHAR(64) NOT NULL,
	agent VARCHAR(63) NOT NULL,
	subject VARCHAR(255) NOT NULL,
	sender TEXT,
	created_at FLOAT(53) NOT NULL,
	expires_at FLOAT(53) NOT NULL,
	tries INTEGER NOT NULL,
	token_hash VARCHAR(64),
	PRIMARY KEY (journey_hash)
);
CREATE INDEX configure_journeys_subject ON configure_journeys (agent, subject, created_at);
CREATE INDEX configure_journeys_end ON configure_journeys (expires_at);
CREATE TABLE configure_subjects (
	agent VARCHAR(63) NOT NULL,
	subject VARCHAR(255) NOT NULL,
	configure_user_id VARCHAR(255) NOT NULL,
	token TEXT NOT NULL,
	linked_at FLOAT(53) NOT NULL,
	proven BOOLEAN NOT NULL,
	serial VARCHAR(32) NOT NULL,
	PRIMARY KEY (agent, subject)
);
CREATE TABLE configure_agents (
	app VARCHAR(63) NOT NULL,
	agent_id VARCHAR(255) NOT NULL,
	claim_hash VARCHAR(64) NOT NULL,
	claim_until FLOAT(53) NOT NULL,
	owner_user_id VARCHAR(255),
	PRIMARY KEY (app, agent_id),
	UNIQUE (claim_hash)
);
CREATE INDEX configure_agents_owner ON configure_agents (app, owner_user_id);
INSERT INTO configure_accounts (agent, user_id, kind, configure_user_id, token, expires_at, scopes, linked_at, needs_reconnect, refresh_sent_at, refresh_sends, serial) VALUES ('a', 'u1', 'agent', 'c1', 'sealed', NULL, '', 1700000000.0, FALSE, NULL, 0, '8023e170677635cc');
INSERT INTO configure_accounts (agent, user_id, kind, configure_user_id, token, expires_at, scopes, linked_at, needs_reconnect, refresh_sent_at, refresh_sends, serial) VALUES ('a', 'u1', 'oauth', 'c1', 'sealed', 1700003600.5, 'profile.read profile.search', 1700000000.0, FALSE, NULL, 0, '1a451f9f06a31fe9');
INSERT INTO configure_accounts (agent, user_id, kind, configure_user_id, token, expires_at, scopes, linked_at, needs_reconnect, refresh_sent_at, refresh_sends, serial) VALUES ('a', 'u2', 'agent', 'c2', 'sealed', NULL, '', 1700000000.0, TRUE, 1700000001.5, 1, 'changed');
INSERT INTO configure_agents (app, agent_id, claim_hash, claim_until, owner_user_id) VALUES ('a', 'agent-1', '2222222222222222222222222222222222222222222222222222222222222222', 1700000060.0, NULL);
INSERT INTO configure_agents (app, agent_id, claim_hash, claim_until, owner_user_id) VALUES ('a', 'agent-2', '3333333333333333333333333333333333333333333333333333333333333333', 1700000060.0, 'u1');
INSERT INTO configure_journeys (journey_hash, agent, subject, sender, created_at, expires_at, tries, token_hash) VALUES ('8bf3a5637b31be64ffa55cca009888eb5a11e4468ce54e89fb8a2dbaee67e564', 'a', 's2', NULL, 1700000000.0, 1700000900.0, 0, '1111111111111111111111111111111111111111111111111111111111111111');
INSERT INTO configure_journeys (journey_hash, agent, subject, sender, created_at, expires_at, tries, token_hash) VALUES ('c25c4f95fd8d64f2509045ecb3b25c847073cd5f328a1645428896b065fb3a32', 'a', 's1', 'sealed', 1700000000.0, 1700000900.0, 0, NULL);
INSERT INTO configure_leases (name, owner, until) VALUES ('a lease', 'o', 1700000030.0);
INSERT INTO configure_owners (agent, configure_user_id, user_id) VALUES ('a', 'c1', 'u1');
INSERT INTO configure_owners (agent, configure_user_id, user_id) VALUES ('a', 'c2', 'u2');
INSERT INTO configure_parameters (name, value) VALUES ('id a', 'sealed id key');
INSERT INTO configure_parameters (name, value) VALUES ('key a f1', '');
INSERT INTO configure_parameters (name, value) VALUES ('key a f2', '');
INSERT INTO configure_parameters (name, value) VALUES ('schema', '2');
INSERT INTO configure_states (state_hash, browser_hash, intent, agent, user_id, next, verifier, code, redirect_uri, version, "replace", created_at, expires_at, claimed_at, finished_at, outcome, replay, replay_until) VALUES ('52971e5bb0b00c6d401f9d3020dc0bdf693520f82d65ddf00e7415ac132ef192', 'd4c3e8a11256ab82a4fc72560eb4a2b0e87bad820c290dd9b03616de240aa6db', 'login', 'a', 'u1', NULL, NULL, NULL, 'https://app.example/auth/configure/callback', 7, FALSE, 1700000000.1234567, 1700000900.0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO configure_states (state_hash, browser_hash, intent, agent, user_id, next, verifier, code, redirect_uri, version, "replace", created_at, expires_at, claimed_at, finished_at, outcome, replay, replay_until) VALUES ('969f821d6e857dbc52cc3e5544525e62ba1c3dc65fcadf8b4c507a8dae708fd8', 'd4c3e8a11256ab82a4fc72560eb4a2b0e87bad820c290dd9b03616de240aa6db', 'login', 'a', 'u2', NULL, NULL, NULL, 'https://app.example/auth/configure/callback', NULL, FALSE, 1700000000.0, 1700000900.0, 1700000001.0, 1700000002.5, 'sealed outcome', 'sealed replay', 1700000032.5);
INSERT INTO configure_subjects (agent, subject, configure_user_id, token, linked_at, proven, serial) VALUES ('a', 's2', 'c3', 'sealed', 1700000000.0, FALSE, 'first');
INSERT INTO configure_subjects (agent, subject, configure_user_id, token, linked_at, proven, serial) VALUES ('a', 's3', 'c3', 'sealed', 1700000000.0, TRUE, 'first');
INSERT INTO configure_users (agent, user_id, version) VALUES ('a', 'u1', 2282401285669594164);
INSERT INTO configure_users (agent, user_id, version) VALUES ('a', 'u2', 3447686783084368464);
