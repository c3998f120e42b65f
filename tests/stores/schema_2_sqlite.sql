BEGIN TRANSACTION;
CREATE TABLE configure_accounts (
	agent VARCHAR(63) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	kind VARCHAR(8) NOT NULL,
	configure_user_id VARCHAR(255) NOT NULL,
	token TEXT NOT NULL,
	expires_at FLOAT,
	scopes TEXT NOT NULL,
	linked_at FLOAT NOT NULL,
	needs_reconnect BOOLEAN NOT NULL,
	refresh_sent_at FLOAT,
	refresh_sends INTEGER NOT NULL,
	serial VARCHAR(32) NOT NULL,
	PRIMARY KEY (agent, user_id, kind),
	CONSTRAINT configure_accounts_identity UNIQUE (agent, configure_user_id, kind)
);
INSERT INTO "configure_accounts" VALUES('a','u1','agent','c1','sealed',NULL,'',1700000000.0,0,NULL,0,'31d58cd326c0f6ef');
INSERT INTO "configure_accounts" VALUES('a','u1','oauth','c1','sealed',1700003600.5,'profile.read profile.search',1700000000.0,0,NULL,0,'cfd801a5f51f3c2d');
INSERT INTO "configure_accounts" VALUES('a','u2','agent','c2','sealed',NULL,'',1700000000.0,1,1700000001.5,1,'changed');
CREATE TABLE configure_agents (
	app VARCHAR(63) NOT NULL,
	agent_id VARCHAR(255) NOT NULL,
	claim_hash VARCHAR(64) NOT NULL,
	claim_until FLOAT NOT NULL,
	owner_user_id VARCHAR(255),
	PRIMARY KEY (app, agent_id),
	UNIQUE (claim_hash)
);
INSERT INTO "configure_agents" VALUES('a','agent-1','2222222222222222222222222222222222222222222222222222222222222222',1700000060.0,NULL);
INSERT INTO "configure_agents" VALUES('a','agent-2','3333333333333333333333333333333333333333333333333333333333333333',1700000060.0,'u1');
CREATE TABLE configure_journeys (
	journey_hash VARCHAR(64) NOT NULL,
	agent VARCHAR(63) NOT NULL,
	subject VARCHAR(255) NOT NULL,
	sender TEXT,
	created_at FLOAT NOT NULL,
	expires_at FLOAT NOT NULL,
	tries INTEGER NOT NULL,
	token_hash VARCHAR(64),
	PRIMARY KEY (journey_hash)
);
INSERT INTO "configure_journeys" VALUES('c25c4f95fd8d64f2509045ecb3b25c847073cd5f328a1645428896b065fb3a32','a','s1','sealed',1700000000.0,1700000900.0,0,NULL);
INSERT INTO "configure_journeys" VALUES('8bf3a5637b31be64ffa55cca009888eb5a11e4468ce54e89fb8a2dbaee67e564','a','s2',NULL,1700000000.0,1700000900.0,0,'1111111111111111111111111111111111111111111111111111111111111111');
CREATE TABLE configure_leases (
	name VARCHAR(400) NOT NULL,
	owner VARCHAR(64) NOT NULL,
	until FLOAT NOT NULL,
	PRIMARY KEY (name)
);
INSERT INTO "configure_leases" VALUES('a lease','o',1700000030.0);
CREATE TABLE configure_owners (
	agent VARCHAR(63) NOT NULL,
	configure_user_id VARCHAR(255) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	PRIMARY KEY (agent, configure_user_id)
);
INSERT INTO "configure_owners" VALUES('a','c1','u1');
INSERT INTO "configure_owners" VALUES('a','c2','u2');
CREATE TABLE configure_parameters (
	name VARCHAR(255) NOT NULL,
	value VARCHAR(255) NOT NULL,
	PRIMARY KEY (name)
);
INSERT INTO "configure_parameters" VALUES('schema','2');
INSERT INTO "configure_parameters" VALUES('key a f1','');
INSERT INTO "configure_parameters" VALUES('key a f2','');
INSERT INTO "configure_parameters" VALUES('id a','sealed id key');
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
	"replace" BOOLEAN NOT NULL,
	created_at FLOAT NOT NULL,
	expires_at FLOAT NOT NULL,
	claimed_at FLOAT,
	finished_at FLOAT,
	outcome TEXT,
	replay TEXT,
	replay_until FLOAT,
	PRIMARY KEY (state_hash)
);
INSERT INTO "configure_states" VALUES('52971e5bb0b00c6d401f9d3020dc0bdf693520f82d65ddf00e7415ac132ef192','d4c3e8a11256ab82a4fc72560eb4a2b0e87bad820c290dd9b03616de240aa6db','login','a','u1',NULL,NULL,NULL,'https://app.example/auth/configure/callback',7,0,1.70000000012345671655e+09,1700000900.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "configure_states" VALUES('969f821d6e857dbc52cc3e5544525e62ba1c3dc65fcadf8b4c507a8dae708fd8','d4c3e8a11256ab82a4fc72560eb4a2b0e87bad820c290dd9b03616de240aa6db','login','a','u2',NULL,NULL,NULL,'https://app.example/auth/configure/callback',NULL,0,1700000000.0,1700000900.0,1700000001.0,1700000002.5,'sealed outcome','sealed replay',1700000032.5);
CREATE TABLE configure_subjects (
	agent VARCHAR(63) NOT NULL,
	subject VARCHAR(255) NOT NULL,
	configure_user_id VARCHAR(255) NOT NULL,
	token TEXT NOT NULL,
	linked_at FLOAT NOT NULL,
	proven BOOLEAN NOT NULL,
	serial VARCHAR(32) NOT NULL,
	PRIMARY KEY (agent, subject)
);
INSERT INTO "configure_subjects" VALUES('a','s2','c3','sealed',1700000000.0,0,'first');
INSERT INTO "configure_subjects" VALUES('a','s3','c3','sealed',1700000000.0,1,'first');
CREATE TABLE configure_users (
	agent VARCHAR(63) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (agent, user_id)
);
INSERT INTO "configure_users" VALUES('a','u1',4030722211080913935);
INSERT INTO "configure_users" VALUES('a','u2',2697778178009957370);
CREATE INDEX configure_states_browser ON configure_states (browser_hash, agent, created_at);
CREATE INDEX configure_states_user ON configure_states (agent, user_id);
CREATE INDEX configure_states_replay ON configure_states (replay_until);
CREATE INDEX configure_states_end ON configure_states (expires_at);
CREATE INDEX configure_journeys_subject ON configure_journeys (agent, subject, created_at);
CREATE INDEX configure_journeys_end ON configure_journeys (expires_at);
CREATE INDEX configure_agents_owner ON configure_agents (app, owner_user_id);
COMMIT;
