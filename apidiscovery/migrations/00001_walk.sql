-- +goose Up
-- An endpoint is service + host + method + path template. Rows are never deleted: one that turned out to be part of another
-- names it in alias_of.
create table endpoint (
	cluster text not null,
	id text not null,
	service text not null,
	host text not null,
	method text not null,
	path_template text not null,
	protocol smallint not null,
	request_count bigint not null,
	status_1xx bigint not null,
	status_2xx bigint not null,
	status_3xx bigint not null,
	status_4xx bigint not null,
	status_5xx bigint not null,
	attack_count bigint not null,
	-- Requests that parameters were learned from.
	whole_count bigint not null,
	-- Bit n: authentication scheme n of the contract.
	auth_schemes integer not null,
	request_content_types text[] not null,
	response_content_types text[] not null,
	first_seen timestamptz not null,
	last_seen timestamptz not null,
	alias_of text not null default '',
	version bigint not null default 1,
	-- The outbox to cloudsync: what is newer than pushed_version goes out when push_due has come.
	pushed_version bigint not null default 0,
	push_due timestamptz not null,
	primary key (cluster, id)
);
create index endpoint_list on endpoint (cluster, service, host, path_template, method, id) where alias_of = '';
create index endpoint_outbox on endpoint (push_due) where version > pushed_version;

create table parameter (
	cluster text not null,
	endpoint_id text not null,
	location smallint not null,
	name text not null,
	-- Bit n: value type n of the contract.
	types integer not null,
	classes text[] not null,
	seen_count bigint not null,
	first_seen timestamptz not null,
	last_seen timestamptz not null,
	primary key (cluster, endpoint_id, location, name),
	foreign key (cluster, endpoint_id) references endpoint (cluster, id)
);

-- One row per instance of the service: which flush was the last, and whether it ended in order. Not a cluster's.
create table life (
	instance text primary key,
	-- Random, new with each start.
	life text not null,
	started_at timestamptz not null,
	flush_sequence bigint not null,
	flushed_at timestamptz not null,
	ended_at timestamptz,
	observations bigint not null
);

-- +goose Down
drop table life, parameter, endpoint;
