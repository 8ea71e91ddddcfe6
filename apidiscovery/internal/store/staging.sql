-- Where a flush is copied to before its one upsert. Temporary: each session has its own.
create temporary table if not exists endpoint_delta (
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
	whole_count bigint not null,
	auth_schemes integer not null,
	request_content_types text[] not null,
	response_content_types text[] not null,
	first_seen timestamptz not null,
	last_seen timestamptz not null,
	push_due timestamptz not null
) on commit delete rows;
create temporary table if not exists parameter_delta (
	cluster text not null,
	endpoint_id text not null,
	location smallint not null,
	name text not null,
	types integer not null,
	classes text[] not null,
	seen_count bigint not null,
	first_seen timestamptz not null,
	last_seen timestamptz not null
) on commit delete rows;
