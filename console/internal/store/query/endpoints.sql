-- name: PutEndpoints :execrows
insert into console.endpoints (org_id, cluster, endpoint_id, version, service, host, path, method, archived, body, updated_at)
select @org_id::bigint, @cluster::text, unnest(@ids::text[]), unnest(@versions::bigint[]), unnest(@services::text[]),
       unnest(@hosts::text[]), unnest(@paths::text[]), unnest(@methods::text[]), unnest(@archived::boolean[]),
       unnest(@bodies::bytea[]), @updated_at::timestamptz
on conflict (org_id, cluster, endpoint_id) do update
set version = excluded.version, service = excluded.service, host = excluded.host, path = excluded.path,
    method = excluded.method, archived = excluded.archived, body = excluded.body, updated_at = excluded.updated_at
where endpoints.version < excluded.version;

-- name: ListEndpoints :many
select cluster, endpoint_id, service, host, path, method, body from console.endpoints
where org_id = @org_id and not archived
  and (sqlc.narg(cluster)::text is null or cluster = sqlc.narg(cluster))
  and (sqlc.narg(service)::text is null or service = sqlc.narg(service))
  and (sqlc.narg(host)::text is null or host = sqlc.narg(host))
  and (not @paged::boolean
       or (service, host, path, method, cluster, endpoint_id)
        > (@after_service::text, @after_host::text, @after_path::text, @after_method::text, @after_cluster::text, @after_id::text))
order by service, host, path, method, cluster, endpoint_id
limit @page_size;

-- name: CountEndpoints :one
select count(*) from console.endpoints
where org_id = @org_id and not archived
  and (sqlc.narg(cluster)::text is null or cluster = sqlc.narg(cluster))
  and (sqlc.narg(service)::text is null or service = sqlc.narg(service))
  and (sqlc.narg(host)::text is null or host = sqlc.narg(host));

-- name: GetEndpoint :one
select body from console.endpoints
where org_id = @org_id and cluster = @cluster and endpoint_id = @endpoint_id;
