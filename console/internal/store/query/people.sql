-- name: GetPerson :one
select * from console.people where org_id = @org_id and user_name = @user_name;

-- name: FindPerson :one
-- Login names an organisation only by its person; user names are looked up in the oldest organisation first.
select * from console.people where user_name = @user_name order by org_id limit 1;

-- name: PutSecret :execrows
-- A one-time secret never replaces a password that a person chose.
insert into console.people (org_id, user_name, password_hash, must_change, secret_expires_at, secret_used_at, changed_at)
values (@org_id, @user_name, @password_hash, true, @secret_expires_at, null, @changed_at)
on conflict (org_id, user_name) do update
set password_hash = excluded.password_hash, secret_expires_at = excluded.secret_expires_at, secret_used_at = null,
    changed_at = excluded.changed_at
where people.must_change;

-- name: UseSecret :execrows
-- One caller wins, whatever arrives at the same time.
update console.people
set secret_used_at = @used_at
where org_id = @org_id and user_name = @user_name and password_hash = @password_hash
  and must_change and secret_used_at is null and secret_expires_at > @used_at;

-- name: SetPassword :execrows
update console.people
set password_hash = @password_hash, must_change = false, secret_expires_at = null, secret_used_at = null,
    changed_at = @changed_at
where org_id = @org_id and user_name = @user_name and password_hash = @old_hash;

-- name: InsertSession :exec
insert into console.sessions (org_id, id_hash, user_name, created_at, last_used_at)
values (@org_id, @id_hash, @user_name, @created_at, @created_at);

-- name: GetSession :one
select s.org_id, s.user_name, s.last_used_at, p.must_change, o.name as organisation
from console.sessions s
join console.people p using (org_id, user_name)
join console.organisations o using (org_id)
where s.id_hash = @id_hash and s.last_used_at > @idle_since and s.created_at > @created_since;

-- name: TouchSession :exec
update console.sessions set last_used_at = @last_used_at where org_id = @org_id and id_hash = @id_hash;

-- name: DeleteSession :exec
delete from console.sessions where id_hash = @id_hash;

-- name: DeleteSessionsOf :exec
delete from console.sessions where org_id = @org_id and user_name = @user_name;

-- name: DeleteOldSessions :execrows
delete from console.sessions where last_used_at <= @idle_since or created_at <= @created_since;
