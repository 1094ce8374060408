# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# completion.bash - completion of dmabuf-rw's commands, options and buffers, for bash.
#
# The installed command's help is the only list of them. Only the words that some options take are
# listed here.

# _dmabuf_rw_options HELP - a line for each option of a command's help: name, argument, more words.
_dmabuf_rw_options()
{
	sed -n -E '1{s/[][]//g; s/ (--[a-z-]+( [A-Z:]+)?)/\n\1\n/g; p}
		/^  -/s/^  (-[a-z], )?(--[a-z-]+)/\2/p' <<<"$1" | grep '^--[a-z]'
	printf '%s\n' --help
}

# _dmabuf_rw_buffers OVERVIEW - the beginnings of buffer names on this machine.
_dmabuf_rw_buffers()
{
	local kind path

	while read -r kind; do
		case $kind in
		vfio:)
			for path in /sys/bus/pci/drivers/vfio-pci/*:*:*; do
				[[ ! -e $path ]] || printf '%s\n' "vfio:${path##*/}/"
			done
			;;
		heap:)
			for path in /dev/dma_heap/*; do
				[[ ! -e $path ]] || printf '%s\n' "heap:${path##*/}:"
			done
			;;
		esac
		printf '%s\n' "$kind"
	done < <(sed -n '/^buffers:/,/^$/s/^  \([a-z]*:\).*/\1/p' <<<"$1")
}

# _dmabuf_rw_words NAME TEXT - the words for the argument NAME that occur in the help's TEXT.
_dmabuf_rw_words()
{
	local words word

	case $1 in
	FORMAT) words='text json' ;;
	WAY) words='module kernel bounce' ;;
	WHEN) words='auto always never' ;;
	KIND) words='read write randread randwrite' ;;
	esac
	for word in $words; do
		[[ ! $2 =~ (^|[^a-z])$word([^a-z]|$) ]] || printf '%s\n' "$word"
	done
}

# _dmabuf_rw_reply WORDS WORD - offers those of WORDS that begin with WORD.
_dmabuf_rw_reply()
{
	local i before=

	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
	# Bash splits words at colons.
	[[ $2 != *:* || $COMP_WORDBREAKS != *:* ]] || before=${2%:*}:
	for i in "${!COMPREPLY[@]}"; do
		[[ ${COMPREPLY[i]} != *[:/] ]] || compopt -o nospace
		COMPREPLY[i]=${COMPREPLY[i]#"$before"}
	done
}

# Completes the argument $1 of an option with help $2: $3 is the word so far, $4 the overview.
_dmabuf_rw_argument()
{
	case $1 in
	BUFFER) _dmabuf_rw_reply "$(_dmabuf_rw_buffers "$4")" "$3" ;;
	FORMAT | WAY | WHEN | KIND) _dmabuf_rw_reply "$(_dmabuf_rw_words "$1" "$2")" "$3" ;;
	SIZE | N | SECONDS | OFFSET*) compopt +o bashdefault +o default ;;
	# Bash itself completes file names.
	esac
}

# Completes the program of dmabuf-rw run, which begins at word $1 of the line.
_dmabuf_rw_program()
{
	local function

	for function in _comp_command_offset _command_offset; do
		if declare -F "$function" >/dev/null; then
			"$function" "$1"
			return
		fi
	done
	((COMP_CWORD > $1)) || mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
}

_dmabuf_rw()
{
	local tool=${1/#\~\//$HOME/} line=${COMP_LINE:0:COMP_POINT} cur words=() i command=''
	local overview help options option=''

	COMPREPLY=()
	cur=${line##*[[:space:]]}
	read -ra words <<<"${line%"$cur"}"
	for ((i = 1; i < ${#words[@]}; i++)); do
		case ${words[i]} in
		-o | --output) i=$((i + 1)) ;;
		-*) ;;
		*)
			command=${words[i]}
			break
			;;
		esac
	done
	if [[ $command == run ]]; then
		for ((i = 1; i < COMP_CWORD; i++)); do
			[[ ${COMP_WORDS[i]} != -- ]] || { _dmabuf_rw_program $((i + 1)); return; }
		done
	fi

	overview=$("$tool" --help 2>/dev/null)
	if [[ -z $command ]]; then
		help=$(sed -n '/^commands:/,/^$/s/^  \([a-z-]*\).*/\1/p' <<<"$overview")
		options=$(grep -oE -- '--[a-z-]+' <<<"$overview")$'\n--output FORMAT text or json'
	else
		help=
		options=$(_dmabuf_rw_options "$("$tool" "$command" --help 2>/dev/null)")
	fi
	if [[ $cur == --*=* ]]; then
		option=${cur%%=*} cur=${cur#*=}
	elif ((${#words[@]} > 1)) && [[ ${words[-1]} == -* ]]; then
		option=${words[-1]/#-o/--output}
	fi
	if [[ -n $option && $'\n'$options =~ $'\n'$option\ ([A-Z]+)([^$'\n']*) ]]; then
		_dmabuf_rw_argument "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "$cur" "$overview"
	elif [[ $cur == -* ]]; then
		_dmabuf_rw_reply "$(cut -d' ' -f1 <<<"$options")" "$cur"
	elif [[ -z $command ]]; then
		_dmabuf_rw_reply "$help" "$cur"
	elif [[ -n $cur ]]; then
		# Offer buffers if any match; otherwise bash completes file names.
		_dmabuf_rw_reply "$(_dmabuf_rw_buffers "$overview")" "$cur"
	fi
}

complete -o bashdefault -o default -F _dmabuf_rw dmabuf-rw
