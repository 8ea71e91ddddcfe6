-- name: InsertToken :exec
insert into console.tokens (org_id, token_id, name, token_hash, created_at)
values (@org_id, @token_id, @name, @token_hash, @created_at);

-- name: PutToken :exec
-- The value may change, the token stays the same one: installations made with it go on, and what a person revoked stays so.
insert into console.tokens (org_id, token_id, name, token_hash, created_at)
values (@org_id, @token_id, @name, @token_hash, @created_at)
on conflict (org_id, token_id) do update set token_hash = excluded.token_hash;

-- name: FindToken :one
select org_id, token_id, generation from console.tokens where token_hash = @token_hash and revoked_at is null;

-- name: ListTokens :many
select t.token_id, t.name, t.created_at, (t.revoked_at is not null)::boolean as revoked, count(i.installation_id) as installations
from console.tokens t
left join console.installations i
    on i.org_id = t.org_id and i.token_id = t.token_id and i.token_generation = t.generation and i.revoked_at is null
where t.org_id = @org_id
group by t.org_id, t.token_id
order by t.created_at desc, t.token_id desc;

-- name: RegenerateToken :execrows
update console.tokens set token_hash = @token_hash, generation = generation + 1, revoked_at = null
where org_id = @org_id and token_id = @token_id;

-- name: RevokeToken :execrows
-- Again changes nothing, and is no error.
update console.tokens
set generation = case when revoked_at is null then generation + 1 else generation end,
    revoked_at = coalesce(revoked_at, @revoked_at::timestamptz)
where org_id = @org_id and token_id = @token_id;
