# shellcheck shell=sh
# loaded.sh - the message about a module that is loaded while its file is replaced or removed.
#
# The module stays loaded: existing bindings keep working, and a program may bind to an idle module
# at any moment. scripts/install sources this file, and debian/rules copies it into the
# package's scripts, which are for sh.

# tell_loaded replaced | removed
tell_loaded()
{
	loaded=/sys/module/dmabuf_rw
	[ -d "$loaded" ] || return 0
	now=$(cat "$loaded/version" 2>/dev/null || echo "unknown")
	users=$(cat "$loaded/refcnt" 2>/dev/null || echo 0)
	until=
	if [ "$users" != 0 ]; then
		until=", once no program uses it"
		until="$until (in use $users times now; dmabuf-rw stat shows by whom)"
	fi
	if [ "$1" = removed ]; then
		echo "The module dmabuf_rw (release $now) stays loaded until the next boot," \
			"or until 'rmmod dmabuf_rw'$until."
		return 0
	fi
	# The same source: there is nothing new to load.
	new=$(modinfo -F srcversion dmabuf_rw 2>/dev/null) || new=
	[ -z "$new" ] || [ "$new" != "$(cat "$loaded/srcversion" 2>/dev/null)" ] || return 0
	echo "The module dmabuf_rw that is loaded (release $now) goes on, and programs with it." \
		"The new one comes with the next boot," \
		"or by 'modprobe -r dmabuf_rw && modprobe dmabuf_rw'$until."
}
