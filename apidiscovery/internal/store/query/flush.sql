-- name: StageEndpoints :copyfrom
insert into endpoint_delta (
	cluster, id, service, host, method, path_template, protocol, request_count, status_1xx, status_2xx, status_3xx, status_4xx, status_5xx,
	attack_count, whole_count, auth_schemes, request_content_types, response_content_types, first_seen, last_seen, push_due
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);

-- name: StageParameters :copyfrom
insert into parameter_delta (cluster, endpoint_id, location, name, types, classes, seen_count, first_seen, last_seen)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: UpsertEndpoints :exec
insert into endpoint as e (
	cluster, id, service, host, method, path_template, protocol, request_count, status_1xx, status_2xx, status_3xx, status_4xx, status_5xx,
	attack_count, whole_count, auth_schemes, request_content_types, response_content_types, first_seen, last_seen, push_due
)
select cluster, id, service, host, method, path_template, protocol, request_count, status_1xx, status_2xx, status_3xx, status_4xx, status_5xx,
	attack_count, whole_count, auth_schemes, request_content_types, response_content_types, first_seen, last_seen, push_due
from endpoint_delta
on conflict (cluster, id) do update set
	path_template = excluded.path_template,
	protocol = greatest(e.protocol, excluded.protocol),
	request_count = e.request_count + excluded.request_count,
	status_1xx = e.status_1xx + excluded.status_1xx,
	status_2xx = e.status_2xx + excluded.status_2xx,
	status_3xx = e.status_3xx + excluded.status_3xx,
	status_4xx = e.status_4xx + excluded.status_4xx,
	status_5xx = e.status_5xx + excluded.status_5xx,
	attack_count = e.attack_count + excluded.attack_count,
	whole_count = e.whole_count + excluded.whole_count,
	auth_schemes = e.auth_schemes | excluded.auth_schemes,
	request_content_types = array(select distinct t from unnest(e.request_content_types || excluded.request_content_types) t order by t),
	response_content_types = array(select distinct t from unnest(e.response_content_types || excluded.response_content_types) t order by t),
	first_seen = least(e.first_seen, excluded.first_seen),
	last_seen = greatest(e.last_seen, excluded.last_seen),
	version = e.version + 1,
	push_due = case when e.version > e.pushed_version then least(e.push_due, excluded.push_due) else excluded.push_due end;

-- name: UpsertParameters :exec
insert into parameter as p (cluster, endpoint_id, location, name, types, classes, seen_count, first_seen, last_seen)
select cluster, endpoint_id, location, name, types, classes, seen_count, first_seen, last_seen from parameter_delta
on conflict (cluster, endpoint_id, location, name) do update set
	types = p.types | excluded.types,
	classes = array(select distinct t from unnest(p.classes || excluded.classes) t order by t),
	seen_count = p.seen_count + excluded.seen_count,
	first_seen = least(p.first_seen, excluded.first_seen),
	last_seen = greatest(p.last_seen, excluded.last_seen);

-- name: MergeEndpoint :exec
-- What the one endpoint had goes to the other, once: an alias has nothing left to give.
update endpoint as into_row set
	request_count = into_row.request_count + from_row.request_count,
	status_1xx = into_row.status_1xx + from_row.status_1xx,
	status_2xx = into_row.status_2xx + from_row.status_2xx,
	status_3xx = into_row.status_3xx + from_row.status_3xx,
	status_4xx = into_row.status_4xx + from_row.status_4xx,
	status_5xx = into_row.status_5xx + from_row.status_5xx,
	attack_count = into_row.attack_count + from_row.attack_count,
	whole_count = into_row.whole_count + from_row.whole_count,
	first_seen = least(into_row.first_seen, from_row.first_seen),
	last_seen = greatest(into_row.last_seen, from_row.last_seen)
from endpoint as from_row
where into_row.cluster = @cluster and into_row.id = @into_id
	and from_row.cluster = @cluster and from_row.id = @from_id and from_row.alias_of = '';

-- name: MergeParameters :exec
insert into parameter as p (cluster, endpoint_id, location, name, types, classes, seen_count, first_seen, last_seen)
select from_row.cluster, @into_id::text, from_row.location, from_row.name, from_row.types, from_row.classes, from_row.seen_count, from_row.first_seen, from_row.last_seen
from parameter as from_row join endpoint as e on e.cluster = from_row.cluster and e.id = from_row.endpoint_id
where from_row.cluster = @cluster and from_row.endpoint_id = @from_id and e.alias_of = ''
on conflict (cluster, endpoint_id, location, name) do update set
	types = p.types | excluded.types,
	classes = array(select distinct t from unnest(p.classes || excluded.classes) t order by t),
	seen_count = p.seen_count + excluded.seen_count,
	first_seen = least(p.first_seen, excluded.first_seen),
	last_seen = greatest(p.last_seen, excluded.last_seen);

-- name: MarkAlias :exec
-- Aliases never point at aliases.
update endpoint set alias_of = @into_id, version = version + 1, push_due = @push_due
where cluster = @cluster and (id = @from_id or alias_of = @from_id) and id <> @into_id;

-- name: AdvanceFlush :execrows
update life set flush_sequence = @flush_sequence, flushed_at = @flushed_at, observations = observations + @observations
where instance = @instance and life = @life and flush_sequence < @flush_sequence;
