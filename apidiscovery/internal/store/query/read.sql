-- name: ListEndpoints :many
select * from endpoint
where alias_of = ''
	and (@cluster::text = '' or cluster = @cluster)
	and (@service::text = '' or service = @service)
	and (@host::text = '' or host = @host)
	and (cluster, service, host, path_template, method, id)
		> (@after_cluster::text, @after_service::text, @after_host::text, @after_path::text, @after_method::text, @after_id::text)
order by cluster, service, host, path_template, method, id
limit @page_size;

-- name: GetEndpoint :one
select * from endpoint where cluster = $1 and id = $2;

-- name: ParametersOf :many
select p.* from parameter as p
join (select unnest(@clusters::text[]) as cluster, unnest(@ids::text[]) as id) as wanted on p.cluster = wanted.cluster and p.endpoint_id = wanted.id
order by p.cluster, p.endpoint_id, p.location, p.name;

-- name: DueForPush :many
select * from endpoint where version > pushed_version and push_due <= @now order by push_due limit @most;

-- name: MarkPushed :exec
update endpoint as e set pushed_version = pushed.version
from (select unnest(@clusters::text[]) as cluster, unnest(@ids::text[]) as id, unnest(@versions::bigint[]) as version) as pushed
where e.cluster = pushed.cluster and e.id = pushed.id and e.pushed_version < pushed.version;
