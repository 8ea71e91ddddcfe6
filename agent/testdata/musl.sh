#!/usr/bin/env bash
# Makes a small root like Alpine's in the cache, in which nothing but musl is known: OpenSSL and nginx, built from Debian's
# copies of their sources as Alpine's recipes build them. In /opt/plain is that libssl once more, linked in the other way that
# is about: symbols by DT_HASH alone, no table of functions. Prints the root. It is built again when this script changes;
# that takes some minutes.
set -euo pipefail
into=${SIDELIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sidelight}/musl
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$into"
exec 9>"$into/lock"
flock 9
made=$(cat "$here/musl.sh" "$here/enter.c" | sha256sum)
echo "$into/root"
[ "$(cat "$into/root/.made" 2>/dev/null)" = "$made" ] && exit 0
for tool in apt-get musl-gcc make perl; do
	command -v $tool >/dev/null || { echo "musl: no $tool: run scripts/setup.sh test, on a Debian-like system" >&2; exit 1; }
done
targets() { apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages'; }
if [ -z "$(targets)" ] && [ "$(id -u)" = 0 ]; then apt-get update -q >&2; fi
renice -n 19 $$ >/dev/null # what is tested meanwhile goes first
read -r release main < <(targets | awk '$1 !~ /-/ {print; exit}') || { echo "musl: no package source is set up; run apt-get update" >&2; exit 1; }
keys=/usr/share/keyrings/debian-archive-keyring.gpg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The lists are private: the system's stay as they are.
fetch() {
	mkdir -p "$work"/{lists/partial,cache/archives/partial,include,enter}
	local suite
	for suite in trixie $([ "$release" = trixie ] || echo "$release"); do
		echo "deb-src$([ -e $keys ] && echo " [signed-by=$keys]") $main $suite main"
	done >"$work/sources.list"
	options=(-q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists"
		-o Dir::State::status=/dev/null -o Dir::Cache="$work/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
	apt-get "${options[@]}" update && source_of openssl && source_of nginx
}
# The newest version that is to be had: for some hours the lists may name one that is not there yet.
source_of() {
	local version
	for version in $(apt-cache "${options[@]}" showsrc --only-source "$1" | awk '$1 == "Version:" {print $2}' | sort -ruV); do
		mkdir "$work/$1"
		if (cd "$work/$1" && apt-get "${options[@]}" source --download-only "$1=$version") && tar -x -C "$work/$1" --strip-components 1 -f "$work/$1"/*.orig.tar.gz; then
			echo "$1 $version" >>"$work/versions"
			return 0
		fi
		rm -rf "${work:?}/$1"
	done
	return 1
}

# Alpine's flags; musl has no headers of the kernel, and Debian's misses one of its own. Debian's specs for musl leave out the
# table of functions that any other gcc has the linker write.
flags=(-Os -fstack-clash-protection -fstack-protector-strong -Wformat -Werror=format-security -fno-plt -idirafter "$work/include")
link=-Wl,--as-needed,-O1,--sort-common,-z,relro,-z,now
table=-Wl,--eh-frame-hdr,--hash-style=gnu
openssl() {
	ln -s /usr/include/{linux,asm-generic} /usr/include/x86_64-linux-gnu/asm "$work/include/" && : >"$work/include/crypt.h" || return 1
	cd "$work/openssl"
	# The last rows leave out what no request needs: to be built sooner.
	CC=musl-gcc perl ./Configure linux-x86_64 --prefix=/usr --libdir=lib --openssldir=/etc/ssl enable-ktls shared no-zlib no-async no-comp \
		no-idea no-mdc2 no-rc5 no-ec2m no-ssl3 no-seed no-weak-ssl-ciphers enable-ec_nistp_64_gcc_128 "${flags[@]}" $link $table -Wa,--noexecstack \
		no-tests no-docs no-apps no-legacy no-module no-aria no-bf no-camellia no-cast no-cmp no-cms no-gost no-md4 no-ml-dsa no-slh-dsa \
		no-rc2 no-rc4 no-rmd160 no-sm2 no-sm3 no-sm4 no-ts no-whirlpool &&
		make build_generated && make -j"$(nproc)" libcrypto.so.3 libssl.so.3 libcrypto.so libssl.so && mkdir plain || return 1
	local objects
	objects=$(sed -n '/^libssl.so.3:/,/^\t/p' Makefile | grep -o '[^ ]*\.o')
	# shellcheck disable=SC2086 # a list
	musl-gcc -shared -Wl,-znodelete,-Bsymbolic,-soname=libssl.so.3,--version-script=libssl.ld $link -Wl,--hash-style=sysv -o plain/libssl.so.3 $objects -L. -lcrypto
}
nginx() {
	cd "$work/nginx"
	local without=(pcre http_rewrite_module http_gzip_module http_auth_basic_module http_ssi_module http_userid_module http_autoindex_module http_mirror_module
		http_geo_module http_map_module http_split_clients_module http_referer_module http_memcached_module http_empty_gif_module http_browser_module
		http_limit_conn_module http_limit_req_module)
	./configure --with-cc=musl-gcc --with-cc-opt="${flags[*]} -I$work/openssl/include" --with-ld-opt="$link $table -L$work/openssl -Wl,-rpath-link,$work/openssl" \
		--prefix=/etc/nginx --sbin-path=/usr/sbin/nginx --with-http_ssl_module "${without[@]/#/--without-}" && make -j"$(nproc)"
}
root() {
	local root=$work/root
	mkdir -p "$root"/{lib,opt/plain,usr/sbin,etc,dev,tmp,srv} &&
		cp -L /lib/ld-musl-x86_64.so.1 "$work"/openssl/lib{ssl,crypto}.so.3 "$root/lib/" &&
		cp "$work/openssl/plain/libssl.so.3" "$root/opt/plain/" && cp "$work/nginx/objs/nginx" "$root/usr/sbin/" &&
		strip "$root"/lib/lib*.so.3 "$root/opt/plain/libssl.so.3" "$root/usr/sbin/nginx" &&
		musl-gcc -Os -static -o "$root/enter" "$here/enter.c" &&
		: >"$root/dev/null" && echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd" && echo 'root:x:0:' >"$root/etc/group" &&
		cp "$work/versions" "$root/versions" && echo "$made" >"$root/.made" && rm -rf "$into/root" && mv "$root" "$into/root"
}
for step in fetch openssl nginx root; do
	($step) >"$work/log" 2>&1 || { echo "musl: $step: failed, the last words are:" >&2; tail -15 "$work/log" >&2; exit 1; }
done
